// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mock hardware of the IOMMU user API: page requests and their answers
 *
 * Page requests are reported with the device's lock held for reading, after a
 * look at what is attached. Detaching takes it for writing: when that is done, no
 * page request names what was attached.
 */
#include <linux/slab.h>

#include "mock.h"

/* Group indices that the device uses for requests of its own */
#define FIRST_OWN	(MOCK_NR_GRPIDS / 2)

/* "Outstanding Page Request Capacity": answered or not */
#define MAX_PRGS	1024

static struct iopf_queue *iopf_queue;

/**
 * mock_iopf_init() - Set up for page requests
 *
 * Return: 0 or -ENOMEM
 */
int mock_iopf_init(void)
{
	iopf_queue = iopf_queue_alloc("iommu-uapi-mock");
	return iopf_queue ? 0 : -ENOMEM;
}

/**
 * mock_iopf_exit() - Undo mock_iopf_init()
 */
void mock_iopf_exit(void)
{
	iopf_queue_free(iopf_queue);
}

static void set_iopf(struct mock_client *client, bool on)
{
	down_write(&client->lock);
	client->iopf = on;
	up_write(&client->lock);
}

/**
 * mock_dev_enable_feat() - &iommu_ops.dev_enable_feat
 * @dev: device
 * @feat: feature
 *
 * Return: 0, -EOPNOTSUPP, or what the page fault queue says
 */
int mock_dev_enable_feat(struct device *dev, enum iommu_dev_features feat)
{
	struct mock_client *client = mock_client_of(dev);
	int ret;

	if (feat != IOMMU_DEV_FEAT_IOPF ||
	    !(mock_features_of(client) & IOMMU_NESTING_FEAT_PAGE_REQUEST))
		return -EOPNOTSUPP;

	ret = iopf_queue_add_device(iopf_queue, dev);
	if (!ret)
		set_iopf(client, true);
	return ret;
}

/**
 * mock_dev_disable_feat() - &iommu_ops.dev_disable_feat
 * @dev: device
 * @feat: feature
 *
 * Return: 0 or -EOPNOTSUPP
 */
int mock_dev_disable_feat(struct device *dev, enum iommu_dev_features feat)
{
	if (feat != IOMMU_DEV_FEAT_IOPF)
		return -EOPNOTSUPP;

	/* Page requests that name a bond are answered first, and it is gone. */
	WARN_ON(atomic_read(&mock_client_of(dev)->nr_bonds));
	set_iopf(mock_client_of(dev), false);
	iopf_queue_remove_device(iopf_queue, dev);
	return 0;
}

/**
 * mock_prq_enabled() - Whether page requests get anywhere
 * @client: device
 * @nested: what is attached for the PASID
 *
 * Return: whether
 */
bool mock_prq_enabled(struct mock_client *client,
		      const struct mock_nested *nested)
{
	lockdep_assert_held(&client->lock);
	return client->iopf && nested->domain.iopf_handler;
}

/**
 * mock_perm() - What an access asks for
 * @acc: MOCK_ACC_*
 *
 * Return: IOMMU_FAULT_PERM_*
 */
u32 mock_perm(unsigned int acc)
{
	u32 perm = acc & MOCK_ACC_WRITE ? IOMMU_FAULT_PERM_WRITE :
					  IOMMU_FAULT_PERM_READ;

	if (acc & MOCK_ACC_EXEC)
		perm |= IOMMU_FAULT_PERM_EXEC;
	if (acc & MOCK_ACC_PRIV)
		perm |= IOMMU_FAULT_PERM_PRIV;
	return perm;
}

static struct mock_prg *prg_alloc(bool has_pasid, u32 pasid, u32 grpid)
{
	struct mock_prg *prg = kzalloc(sizeof(*prg), GFP_KERNEL_ACCOUNT);

	if (!prg)
		return NULL;
	init_completion(&prg->done);
	prg->has_pasid = has_pasid;
	prg->pasid = pasid;
	prg->grpid = grpid;
	return prg;
}

static struct mock_prg *find_pending(struct mock_client *client, bool has_pasid,
				     u32 pasid, u32 grpid)
{
	struct mock_prg *prg;

	list_for_each_entry(prg, &client->prq_pending, node)
		if (prg->has_pasid == has_pasid && prg->grpid == grpid &&
		    (!has_pasid || prg->pasid == pasid))
			return prg;
	return NULL;
}

static int prg_add(struct mock_client *client, struct mock_prg *prg)
{
	int ret = 0;

	spin_lock(&client->prq_lock);
	if (client->nr_prq < MAX_PRGS) {
		list_add_tail(&prg->node, &client->prq_pending);
		client->nr_prq++;
	} else {
		ret = -ENOSPC;
	}
	spin_unlock(&client->prq_lock);
	return ret;
}

/* Take a group off its list, and see that it is freed. */
static void prg_drop(struct mock_client *client, struct mock_prg *prg)
{
	lockdep_assert_held(&client->prq_lock);

	list_del(&prg->node);
	client->nr_prq--;
	if (prg->waiting)
		complete(&prg->done);
	else
		kfree(prg);
}

static void answer(struct mock_client *client, bool has_pasid, u32 pasid,
		   u32 grpid, u32 code)
{
	struct mock_prg *prg;

	spin_lock(&client->prq_lock);
	prg = find_pending(client, has_pasid, pasid, grpid);
	/* None: a request in the middle of a group, or from before a reset */
	if (prg) {
		prg->code = code;
		if (prg->waiting || prg->abandoned)
			prg_drop(client, prg);
		else
			list_move_tail(&prg->node, &client->prq_answered);
	}
	spin_unlock(&client->prq_lock);
}

/**
 * mock_page_response() - &iommu_ops.page_response
 * @dev: device
 * @evt: last request of the group
 * @msg: the answer
 */
void mock_page_response(struct device *dev, struct iopf_fault *evt,
			struct iommu_page_response *msg)
{
	answer(mock_client_of(dev),
	       evt->fault.prm.flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
	       msg->pasid, msg->grpid, msg->code);
}

static void report(struct mock_client *client, const struct mock_prg *prg,
		   u64 addr, u32 perm, bool last)
{
	struct iopf_fault evt = {
		.fault = {
			.type = IOMMU_FAULT_PAGE_REQ,
			.prm = {
				.grpid = prg->grpid,
				.perm = perm,
				.addr = addr,
			},
		},
	};

	if (last)
		evt.fault.prm.flags |= IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
	if (prg->has_pasid) {
		evt.fault.prm.flags |= IOMMU_FAULT_PAGE_REQUEST_PASID_VALID |
				       IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID;
		evt.fault.prm.pasid = prg->pasid;
	}
	/* Should it fail, it has answered the group. */
	iommu_report_device_fault(&client->pdev->dev, &evt);
}

/* A group index that is not in use; MOCK_NR_GRPIDS if there is none */
static u32 choose_grpid(struct mock_client *client,
			const struct mock_access *access)
{
	u32 i, grpid = MOCK_NR_GRPIDS;

	spin_lock(&client->prq_lock);
	for (i = FIRST_OWN; i < MOCK_NR_GRPIDS; i++) {
		grpid = FIRST_OWN + client->next_grpid++ % FIRST_OWN;
		if (!find_pending(client, access->has_pasid, access->pasid,
				  grpid))
			break;
		grpid = MOCK_NR_GRPIDS;
	}
	spin_unlock(&client->prq_lock);
	return grpid;
}

/**
 * mock_prq_ask() - Send page requests that hold up a request of the device
 * @client: device
 * @access: the request
 * @addrs: pages that are missing
 * @nr: how many
 *
 * Context: page requests are enabled, client->lock is held for reading
 *
 * Return: the group, for mock_prq_wait(); an error if it cannot be sent
 */
struct mock_prg *mock_prq_ask(struct mock_client *client,
			      const struct mock_access *access,
			      const u64 *addrs, unsigned int nr)
{
	u32 grpid = choose_grpid(client, access);
	struct mock_prg *prg;
	unsigned int i;
	int ret;

	if (grpid == MOCK_NR_GRPIDS)
		return ERR_PTR(-ENOSPC);
	prg = prg_alloc(access->has_pasid, access->pasid, grpid);
	if (!prg)
		return ERR_PTR(-ENOMEM);
	prg->waiting = true;
	ret = prg_add(client, prg);
	if (ret) {
		kfree(prg);
		return ERR_PTR(ret);
	}
	for (i = 0; i < nr; i++)
		report(client, prg, addrs[i], mock_perm(access->acc),
		       i == nr - 1);
	return prg;
}

/* Not an answer: the device was reset */
#define PRG_LOST	U32_MAX

/**
 * mock_prq_wait() - Wait for an answer
 * @client: device
 * @prg: group from mock_prq_ask(); is gone afterwards
 *
 * Return: the answer, or -EINTR, or -ECANCELED after a reset
 */
int mock_prq_wait(struct mock_client *client, struct mock_prg *prg)
{
	int ret;

	if (wait_for_completion_interruptible(&prg->done)) {
		spin_lock(&client->prq_lock);
		if (!completion_done(&prg->done)) {
			/* Keep it, so that the late answer finds its group. */
			prg->waiting = false;
			prg->abandoned = true;
			spin_unlock(&client->prq_lock);
			return -EINTR;
		}
		spin_unlock(&client->prq_lock);
	}
	/* Wait until answer() lets go of it. */
	spin_lock(&client->prq_lock);
	ret = prg->code == PRG_LOST ? -ECANCELED : prg->code;
	spin_unlock(&client->prq_lock);
	kfree(prg);
	return ret;
}

/**
 * mock_prq_send() - Send page requests that a test program has made up
 * @client: device
 * @req: the requests
 *
 * Where page requests are off, the IOMMU itself answers "invalid".
 *
 * Return: 0, -ENOMEM, -ENOSPC
 */
int mock_prq_send(struct mock_client *client,
		  const struct mock_page_request *req)
{
	bool has_pasid = req->flags & MOCK_PRQ_PASID;
	bool partial = req->flags & MOCK_PRQ_PARTIAL;
	struct mock_prg local = {
		.has_pasid = has_pasid,
		.pasid = req->pasid,
		.grpid = req->grpid,
	};
	struct iommu_domain *domain;
	struct mock_prg *prg;
	int ret;
	u32 i;

	if (!partial) {
		prg = prg_alloc(has_pasid, req->pasid, req->grpid);
		if (!prg)
			return -ENOMEM;
		ret = prg_add(client, prg);
		if (ret) {
			kfree(prg);
			return ret;
		}
	}

	down_read(&client->lock);
	domain = mock_attached(client, has_pasid, req->pasid);
	if (domain && mock_is_nested(domain) &&
	    mock_prq_enabled(client, to_nested(domain))) {
		for (i = 0; i < req->nr; i++)
			report(client, &local, req->addr + (u64)i * SZ_4K,
			       req->perm, !partial && i == req->nr - 1);
	} else if (!partial) {
		answer(client, has_pasid, req->pasid, req->grpid,
		       IOMMU_PAGE_RESP_INVALID);
	}
	up_read(&client->lock);
	return 0;
}

/**
 * mock_prq_fetch() - Take the oldest answer to a group of mock_prq_send()
 * @client: device
 * @resp: the answer
 *
 * Return: 0, -EAGAIN if there is none
 */
int mock_prq_fetch(struct mock_client *client, struct mock_page_response *resp)
{
	struct mock_prg *prg;

	spin_lock(&client->prq_lock);
	prg = list_first_entry_or_null(&client->prq_answered, struct mock_prg,
				       node);
	if (prg) {
		resp->flags = prg->has_pasid ? MOCK_PRQ_PASID : 0;
		resp->pasid = prg->has_pasid ? prg->pasid : 0;
		resp->grpid = prg->grpid;
		resp->code = prg->code;
		prg_drop(client, prg);
	}
	spin_unlock(&client->prq_lock);
	return prg ? 0 : -EAGAIN;
}

/**
 * mock_prq_reset() - Forget page requests and answers
 * @client: device
 *
 * Context: client->lock is held for writing
 */
void mock_prq_reset(struct mock_client *client)
{
	struct mock_prg *prg, *tmp;

	lockdep_assert_held_write(&client->lock);

	spin_lock(&client->prq_lock);
	list_for_each_entry_safe(prg, tmp, &client->prq_pending, node) {
		prg->code = PRG_LOST;
		prg_drop(client, prg);
	}
	list_for_each_entry_safe(prg, tmp, &client->prq_answered, node)
		prg_drop(client, prg);
	spin_unlock(&client->prq_lock);
}
