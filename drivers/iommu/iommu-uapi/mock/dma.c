// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mock hardware of the IOMMU user API: requests of devices on their way to memory
 */
#include <linux/sched/signal.h>

#include "mock.h"

/* Where a request has got to, or why it has not */
struct translation {
	u32 status;		/* MOCK_DMA_* */
	struct mock_nested *nested;
	struct mock_stage2 *stage2;
	u64 gpa;
	struct mock_s1_fault fault;	/* with MOCK_DMA_ABORT_S1 */
};

static void done(struct translation *t, struct mock_stage2 *stage2, u64 gpa)
{
	t->status = MOCK_DMA_OK;
	t->stage2 = stage2;
	t->gpa = gpa;
}

/* Find the context descriptor; 0, 1 for a bypass, or -EFAULT */
static int get_cd(struct mock_client *client, const struct mock_access *access,
		  const struct mock_nested *nested, struct mock_cd *cd,
		  struct mock_s1_fault *fault)
{
	u32 index;
	int ret;

	ret = mock_cd_select(&nested->cds, access->has_pasid, access->pasid,
			     &index, fault);
	if (ret)
		return ret;
	if (mock_cd_lookup(&client->cd_cache, nested, index, cd))
		return 0;
	ret = mock_cd_fetch(&nested->stage2->mem, &nested->cds, index, cd,
			    fault);
	if (!ret)
		mock_cd_insert(&client->cd_cache, nested, index, cd);
	return ret;
}

/* Memory as a table walk sees it that goes through the paging-structure cache */
struct cached_mem {
	struct mock_mem mem;
	struct mock_mem *below;
	struct mock_psc *psc;
	const struct mock_tag *tag;
	u64 va;
	bool reload;
};

static int cached_load(struct mock_mem *mem, u64 gpa, u64 *val)
{
	struct cached_mem *cached = container_of(mem, struct cached_mem, mem);

	if (!cached->reload &&
	    mock_psc_lookup(cached->psc, cached->tag, cached->va, gpa, val))
		return 0;
	return cached->below->load(cached->below, gpa, val);
}

static int cached_update(struct mock_mem *mem, u64 gpa, u64 old, u64 new)
{
	struct cached_mem *cached = container_of(mem, struct cached_mem, mem);

	return cached->below->update(cached->below, gpa, old, new);
}

static void cached_keep(struct mock_mem *mem, u64 gpa, u64 val, u64 size)
{
	struct cached_mem *cached = container_of(mem, struct cached_mem, mem);
	struct mock_psc_entry entry = {
		.tag = *cached->tag,
		.va = ALIGN_DOWN(cached->va, size),
		.size = size,
		.gpa = gpa,
		.val = val,
	};

	mock_psc_insert(cached->psc, &entry);
}

static int walk(struct mock_client *client, const struct mock_nested *nested,
		const struct mock_tag *tag, const struct mock_cd *cd, u64 va,
		unsigned int acc, struct mock_leaf *leaf,
		struct mock_s1_fault *fault)
{
	struct cached_mem cached = {
		.mem = {
			.load = cached_load,
			.update = cached_update,
			.keep = cached_keep,
		},
		.below = &nested->stage2->mem,
		.psc = &client->psc,
		.tag = tag,
		.va = va,
	};
	int ret;

	for (;;) {
		ret = nested->config ?
		      mock_arm_walk(&cached.mem, cd, va, acc, leaf, fault) :
		      mock_vtd_walk(&cached.mem, &nested->vtd, va, acc, leaf,
				    fault);
		/* No fault is due to what is only in the cache. */
		if (!ret || cached.reload)
			return ret;
		cached.reload = true;
	}
}

/* Ask the IOMMU: its caches, then the tables. 0, 1 for a bypass, or -EFAULT */
static int ask_iommu(struct mock_client *client,
		     const struct mock_access *access,
		     const struct mock_nested *nested, struct mock_tag tag,
		     struct mock_leaf *leaf, struct mock_s1_fault *fault)
{
	u64 va = access->addr;
	struct mock_cd cd;
	int ret;

	if (nested->config) {
		ret = get_cd(client, access, nested, &cd, fault);
		if (ret)
			return ret;
		tag.asid = cd.asid;
		va = mock_arm_untagged(&cd, va);
	}
	if (mock_tlb_lookup(&client->iotlb, &tag, va, access->acc, leaf))
		return 0;

	ret = walk(client, nested, &tag, &cd, va, access->acc, leaf, fault);
	if (!ret)
		mock_tlb_insert(&client->iotlb, &tag, leaf);
	return ret;
}

static void stage1(struct mock_client *client, const struct mock_access *access,
		   struct mock_nested *nested, struct translation *t)
{
	struct mock_tag tag = {
		.nested = nested,
		.has_pasid = access->has_pasid,
		.pasid = access->pasid,
	};
	bool ats = access->ats && nested->ats;
	struct mock_leaf leaf;
	int ret;

	/* Without a stage 1 there is nothing that a PASID could select. */
	if (nested->config == IOMMU_PASID_CONFIG_ABORT ||
	    (nested->config == IOMMU_PASID_CONFIG_BYPASS && access->has_pasid))
		return;
	if (nested->config == IOMMU_PASID_CONFIG_BYPASS) {
		done(t, nested->stage2, access->addr);
		return;
	}

	t->nested = nested;
	if (!ats ||
	    !mock_tlb_lookup(&client->devtlb, &tag, access->addr, access->acc,
			     &leaf)) {
		ret = ask_iommu(client, access, nested, tag, &leaf, &t->fault);
		if (ret < 0) {
			t->status = MOCK_DMA_ABORT_S1;
			return;
		}
		if (ret) {
			done(t, nested->stage2, access->addr);
			return;
		}
		if (ats) {
			/* It knows no other address than the one it asked for. */
			leaf.va = ALIGN_DOWN(access->addr, leaf.size);
			mock_tlb_insert(&client->devtlb, &tag, &leaf);
		}
	}
	done(t, nested->stage2,
	     leaf.gpa | (access->addr & (leaf.size - 1)));
}

static void translate(struct mock_client *client,
		      const struct mock_access *access, struct translation *t)
{
	struct iommu_domain *domain;

	lockdep_assert_held(&client->lock);

	memset(t, 0, sizeof(*t));
	t->status = MOCK_DMA_BLOCKED;
	domain = mock_attached(client, access->has_pasid, access->pasid);
	if (!domain)
		return;
	if (mock_is_nested(domain))
		stage1(client, access, to_nested(domain), t);
	else
		done(t, to_stage2(domain), access->addr);
}

static void report_unrecoverable(struct mock_client *client,
				 const struct mock_access *access,
				 const struct translation *t)
{
	struct iommu_fault_unrecoverable event = {
		.reason = t->fault.reason,
		.flags = IOMMU_FAULT_UNRECOV_ADDR_VALID,
		.perm = mock_perm(access->acc),
		.addr = access->addr,
	};

	atomic64_inc(&client->unrecoverable);
	if (!t->nested->bond)
		return;
	if (access->has_pasid) {
		event.flags |= IOMMU_FAULT_UNRECOV_PASID_VALID;
		event.pasid = access->pasid;
	}
	if (t->fault.has_fetch_addr) {
		event.flags |= IOMMU_FAULT_UNRECOV_FETCH_ADDR_VALID;
		event.fetch_addr = t->fault.fetch_addr;
	}
	iommu_uapi_report_unrecoverable(t->nested->bond, &event);
}

#define DMA_MAX_PAGES	(MOCK_DMA_MAX_LEN / SZ_4K + 1)

/*
 * One group for all the pages of the rest of the request that are missing; NULL
 * if there is none any more
 */
static struct mock_prg *request_pages(struct mock_client *client,
				      struct mock_access access, size_t len)
{
	u64 addrs[DMA_MAX_PAGES], last = access.addr + (len - 1);
	struct translation t;
	unsigned int nr = 0;

	access.addr = ALIGN_DOWN(access.addr, SZ_4K);
	for (;;) {
		translate(client, &access, &t);
		if (t.status == MOCK_DMA_ABORT_S1 && t.fault.recoverable)
			addrs[nr++] = access.addr;
		if (last - access.addr < SZ_4K)
			break;
		access.addr += SZ_4K;
	}
	return nr ? mock_prq_ask(client, &access, addrs, nr) : NULL;
}

/*
 * Do what can be done without leaving a page. Returns 0, or a page request group
 * that the device has to wait for, or an error.
 */
static struct mock_prg *transfer(struct mock_client *client,
				 const struct mock_access *access,
				 struct mock_dma *dma, void *buf)
{
	size_t left = dma->len - dma->done;
	size_t chunk = min_t(size_t, left, SZ_4K - access->addr % SZ_4K);
	struct translation t;

	translate(client, access, &t);
	dma->status = t.status;
	switch (t.status) {
	case MOCK_DMA_OK:
		if (mock_stage2_copy(t.stage2, t.gpa, buf + dma->done, chunk,
				     dma->flags & MOCK_DMA_WRITE))
			dma->status = MOCK_DMA_ABORT_S2;
		else
			dma->done += chunk;
		return NULL;
	case MOCK_DMA_ABORT_S1:
		if ((dma->flags & MOCK_DMA_PRI) && t.fault.recoverable &&
		    mock_prq_enabled(client, t.nested)) {
			dma->status = MOCK_DMA_OK;
			return request_pages(client, *access, left);
		}
		report_unrecoverable(client, access, &t);
		return NULL;
	default:
		return NULL;
	}
}

static u32 status_of_response(int code)
{
	switch (code) {
	case IOMMU_PAGE_RESP_SUCCESS:
		return MOCK_DMA_OK;
	case IOMMU_PAGE_RESP_INVALID:
		return MOCK_DMA_PRI_INVALID;
	default:
		return MOCK_DMA_PRI_FAILURE;
	}
}

/**
 * mock_dma() - Let a device read or write memory
 * @client: the device
 * @dma: what it does; status and done are set
 * @buf: its memory, dma->len bytes
 *
 * Return: 0, -EINTR, -ECANCELED if the device is reset in the meantime, -ENOMEM
 * and -ENOSPC if page requests cannot be sent
 */
int mock_dma(struct mock_client *client, struct mock_dma *dma, void *buf)
{
	struct mock_access access = {
		.has_pasid = dma->flags & MOCK_DMA_PASID,
		.pasid = dma->pasid,
		.ats = dma->flags & MOCK_DMA_ATS,
	};
	unsigned int resets = READ_ONCE(client->resets);
	struct mock_prg *prg;
	int ret;

	if (dma->flags & MOCK_DMA_WRITE)
		access.acc |= MOCK_ACC_WRITE;
	if (dma->flags & MOCK_DMA_EXEC)
		access.acc |= MOCK_ACC_EXEC;
	if (dma->flags & MOCK_DMA_PRIV)
		access.acc |= MOCK_ACC_PRIV;

	dma->status = MOCK_DMA_OK;
	dma->done = 0;
	while (dma->status == MOCK_DMA_OK && dma->done < dma->len) {
		if (fatal_signal_pending(current))
			return -EINTR;

		access.addr = dma->addr + dma->done;
		down_read(&client->lock);
		prg = client->resets == resets ?
		      transfer(client, &access, dma, buf) :
		      ERR_PTR(-ECANCELED);
		up_read(&client->lock);
		if (IS_ERR(prg))
			return PTR_ERR(prg);
		if (!prg)
			continue;

		ret = mock_prq_wait(client, prg);
		if (ret < 0)
			return ret;
		dma->status = status_of_response(ret);
	}
	return 0;
}

/* Any binding of the device, those without PASID first */
static struct iommu_uapi_bond *any_bond(struct mock_client *client)
{
	struct iommu_domain *domain = client->rid;
	unsigned long pasid;

	if (domain && mock_is_nested(domain) && to_nested(domain)->bond)
		return to_nested(domain)->bond;
	xa_for_each(&client->pasids, pasid, domain)
		if (to_nested(domain)->bond)
			return to_nested(domain)->bond;
	return NULL;
}

/**
 * mock_report_unrecoverables() - Report faults that nothing has caused
 * @client: device to report them of
 * @count: number; their addresses count from 0 in steps of 4 KiB
 *
 * Return: 0, -ENOENT without a binding, -EINTR
 */
int mock_report_unrecoverables(struct mock_client *client, u32 count)
{
	struct iommu_fault_unrecoverable event = {
		.reason = IOMMU_FAULT_REASON_UNKNOWN,
		.flags = IOMMU_FAULT_UNRECOV_ADDR_VALID,
	};
	struct iommu_uapi_bond *bond;
	u32 i;

	for (i = 0; i < count; i++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		down_read(&client->lock);
		bond = any_bond(client);
		if (bond) {
			event.addr = (u64)i * SZ_4K;
			atomic64_inc(&client->unrecoverable);
			iommu_uapi_report_unrecoverable(bond, &event);
		}
		up_read(&client->lock);
		if (!bond)
			return -ENOENT;
		cond_resched();
	}
	return 0;
}
