// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: fault queue of a device, read and answered through a file
 *
 * Records of both kinds go through one ring, allocated with the file, in the
 * order in which the hardware reported them. Writers of the ring may be in hard
 * interrupt context; they never wait: what does not fit is counted, and a lost
 * page request group is answered on the spot, so that the device goes on.
 *
 * A page request group is outstanding from the time it is queued until user
 * space answers it, or until its binding, the file or the device ends; then it
 * is answered "invalid". It can be answered once its last record has been read.
 */
#include <kunit/static_stub.h>
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hash.h>
#include <linux/irq_work.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "fault.h"
#include "trace.h"

static_assert((int)UAPI_IOMMU_PAGE_RESP_SUCCESS == (int)IOMMU_PAGE_RESP_SUCCESS);
static_assert((int)UAPI_IOMMU_PAGE_RESP_INVALID == (int)IOMMU_PAGE_RESP_INVALID);
static_assert((int)UAPI_IOMMU_PAGE_RESP_FAILURE == (int)IOMMU_PAGE_RESP_FAILURE);

/* Wakes the readers from contexts where a wait queue cannot be touched */
static void faults_wake(struct irq_work *work)
{
	struct iommu_uapi_faults *faults =
		container_of(work, struct iommu_uapi_faults, wake);

	wake_up_interruptible_poll(&faults->wait, EPOLLIN | EPOLLRDNORM);
}

static struct iommu_uapi_faults *faults_alloc(struct iommu_uapi_dev *udev)
{
	struct iommu_uapi_faults *faults;
	unsigned int i;

	faults = kzalloc(sizeof(*faults), GFP_KERNEL_ACCOUNT);
	if (!faults)
		return NULL;
	faults->ring = kvcalloc(IOMMU_UAPI_FAULT_RING, sizeof(*faults->ring),
				GFP_KERNEL_ACCOUNT);
	if (!faults->ring) {
		kfree(faults);
		return NULL;
	}

	kref_get(&udev->ref);
	faults->udev = udev;
	mutex_init(&faults->read_lock);
	init_waitqueue_head(&faults->wait);
	init_irq_work(&faults->wake, faults_wake);
	for (i = 0; i < ARRAY_SIZE(faults->groups); i++)
		INIT_LIST_HEAD(&faults->groups[i]);
	return faults;
}

static void faults_free(struct iommu_uapi_faults *faults)
{
	irq_work_sync(&faults->wake);
	iommu_uapi_dev_put(faults->udev);
	mutex_destroy(&faults->read_lock);
	kvfree(faults->ring);
	kfree(faults);
}

static struct fault_slot *slot(struct iommu_uapi_faults *faults, u32 seq)
{
	return &faults->ring[seq % IOMMU_UAPI_FAULT_RING];
}

/* Page requests of a bond that is gone leave holes; none stays in front. */
static void skip_holes(struct iommu_uapi_faults *faults)
{
	while (faults->tail != faults->head &&
	       !slot(faults, faults->tail)->rec.type)
		faults->tail++;
}

static void push(struct iommu_uapi_faults *faults,
		 struct iommu_uapi_bond *bond,
		 const struct uapi_iommu_fault *rec)
{
	struct fault_slot *s = slot(faults, faults->head++);

	s->rec = *rec;
	s->bond = bond;
}

static void push_lost(struct iommu_uapi_faults *faults)
{
	struct uapi_iommu_fault rec;

	memset(&rec, 0, sizeof(rec));
	rec.type = IOMMU_FAULT_LOST;
	rec.lost = faults->lost;
	push(faults, NULL, &rec);
	faults->lost = (struct iommu_fault_lost) {};
}

static bool has_lost(const struct iommu_uapi_faults *faults)
{
	return faults->lost.unrecoverable || faults->lost.page_requests;
}

/* Room for @nr records, and before them the one that tells of a loss? */
static bool make_room(struct iommu_uapi_faults *faults, size_t nr)
{
	size_t room = IOMMU_UAPI_FAULT_RING - (faults->head - faults->tail);

	if (nr + has_lost(faults) > room)
		return false;
	if (has_lost(faults))
		push_lost(faults);
	return true;
}

static struct list_head *bucket(struct iommu_uapi_faults *faults,
				bool has_pasid, u32 pasid, u32 grpid)
{
	u64 key = grpid;

	/* Without one, drivers leave anything in the field. */
	if (has_pasid)
		key |= BIT_ULL(63) | (u64)pasid << 32;
	return &faults->groups[hash_64(key, IOMMU_UAPI_FAULT_HASH_BITS)];
}

static bool group_has_pasid(const struct iopf_group *group)
{
	return group->last_fault.fault.prm.flags &
	       IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;
}

/**
 * iommu_uapi_encode_page_request() - Make the record of a page request
 * @rec: the record
 * @bond: bond that the request came through
 * @prm: the request as the IOMMU driver has reported it
 */
VISIBLE_IF_KUNIT void
iommu_uapi_encode_page_request(struct uapi_iommu_fault *rec,
			       const struct iommu_uapi_bond *bond,
			       const struct iommu_fault_page_request *prm)
{
	struct uapi_iommu_fault_page_request *out = &rec->prm;

	/* All of it goes to user space: no byte is left to the compiler. */
	memset(rec, 0, sizeof(*rec));
	rec->type = UAPI_IOMMU_FAULT_PAGE_REQ;
	/* What else the driver notes for its own response stays in the kernel. */
	out->flags = prm->flags & (IOMMU_FAULT_PAGE_REQUEST_PASID_VALID |
				   IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE);
	if (out->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID) {
		out->pasid = prm->pasid;
		if (bond->has_gpasid) {
			out->pasid = bond->gpasid;
			out->flags |= IOMMU_FAULT_PAGE_REQUEST_GPASID;
		}
	}
	out->grpid = prm->grpid;
	out->perm = prm->perm;
	out->addr = prm->addr;
	if (prm->private_data[0] || prm->private_data[1]) {
		out->flags |= IOMMU_FAULT_PAGE_REQUEST_PRIV_DATA;
		out->private_data[0] = prm->private_data[0];
		out->private_data[1] = prm->private_data[1];
	}
}
EXPORT_SYMBOL_IF_KUNIT(iommu_uapi_encode_page_request);

/**
 * iommu_uapi_encode_unrecoverable() - Make the record of an unrecoverable fault
 * @rec: the record
 * @bond: bond that the transaction went through
 * @event: the fault as the vendor driver has reported it
 */
VISIBLE_IF_KUNIT void
iommu_uapi_encode_unrecoverable(struct uapi_iommu_fault *rec,
				const struct iommu_uapi_bond *bond,
				const struct iommu_fault_unrecoverable *event)
{
	memset(rec, 0, sizeof(*rec));
	rec->type = IOMMU_FAULT_DMA_UNRECOV;
	rec->event = *event;
	rec->event.flags &= IOMMU_FAULT_UNRECOV_PASID_VALID |
			    IOMMU_FAULT_UNRECOV_ADDR_VALID |
			    IOMMU_FAULT_UNRECOV_FETCH_ADDR_VALID;
	if (bond->has_gpasid && event->pasid == bond->pasid &&
	    event->flags & IOMMU_FAULT_UNRECOV_PASID_VALID) {
		rec->event.pasid = bond->gpasid;
		rec->event.flags |= IOMMU_FAULT_UNRECOV_GPASID;
	}
}
EXPORT_SYMBOL_IF_KUNIT(iommu_uapi_encode_unrecoverable);

/*
 * The IOMMU core puts requests together by their group index alone. One of
 * another PASID is left over from a group whose end never came, perhaps of a
 * binding that is gone.
 */
static bool is_of_group(const struct iopf_group *group,
			const struct iopf_fault *iopf)
{
	const struct iommu_fault_page_request *last = &group->last_fault.fault.prm;
	const struct iommu_fault_page_request *prm = &iopf->fault.prm;

	if ((prm->flags ^ last->flags) & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID)
		return false;
	return !group_has_pasid(group) || prm->pasid == last->pasid;
}

static size_t count_requests(const struct iopf_group *group)
{
	const struct iopf_fault *iopf;
	size_t nr = 0;

	list_for_each_entry(iopf, &group->faults, list)
		nr += is_of_group(group, iopf);
	return nr;
}

static bool queue_group(struct iommu_uapi_bond *bond, struct iopf_group *group)
{
	const struct iommu_fault_page_request *last = &group->last_fault.fault.prm;
	struct iommu_uapi_faults *faults = bond->udev->faults;
	struct uapi_iommu_fault rec;
	struct iopf_fault *iopf;

	lockdep_assert_held(&bond->udev->fault_lock);

	if (!faults || bond->dying)
		return false;
	if (faults->nr_requests + group->fault_count > IOMMU_UAPI_FAULT_REQUESTS ||
	    !make_room(faults, count_requests(group))) {
		faults->lost.page_requests++;
		return false;
	}

	list_for_each_entry(iopf, &group->faults, list) {
		if (!is_of_group(group, iopf))
			continue;
		iommu_uapi_encode_page_request(&rec, bond, &iopf->fault.prm);
		push(faults, bond, &rec);
	}
	/* Sequence number of the group's last record */
	group->cookie = faults->head - 1;
	list_add_tail(&group->node, bucket(faults, group_has_pasid(group),
					   last->pasid, last->grpid));
	faults->nr_requests += group->fault_count;
	return true;
}

static void answer(struct iommu_uapi_bond *bond, struct iopf_group *group,
		   enum iommu_page_response_code code)
{
	trace_iommu_uapi_response(bond, &group->last_fault.fault.prm, code);
	iopf_group_response(group, code);
	iopf_free_group(group);
}

static struct iommu_uapi_bond *group_bond(struct iopf_group *group)
{
	return container_of(group->attach_handle, struct iommu_uapi_bond, handle);
}

/**
 * iommu_uapi_iopf_handler() - Take a page request group from the IOMMU core
 * @group: the group
 *
 * Context: thread of the IOMMU driver, which may hold locks that its drain
 * waits for: takes no lock but the device's fault_lock.
 *
 * Return: 0; the group is queued, or answered
 */
int iommu_uapi_iopf_handler(struct iopf_group *group)
{
	struct iommu_uapi_bond *bond = group_bond(group);
	struct iommu_uapi_dev *udev = bond->udev;
	unsigned long flags;
	bool queued;

	/* Traced before it can be answered, which frees it */
	trace_iommu_uapi_page_request(bond, &group->last_fault.fault.prm,
				      group->fault_count);
	iopf_group_dequeue(group);

	raw_spin_lock_irqsave(&udev->fault_lock, flags);
	queued = queue_group(bond, group);
	if (udev->faults)
		irq_work_queue(&udev->faults->wake);
	raw_spin_unlock_irqrestore(&udev->fault_lock, flags);

	if (!queued)
		answer(bond, group, IOMMU_PAGE_RESP_INVALID);
	return 0;
}

/**
 * iommu_uapi_report_unrecoverable() - Report a transaction that was aborted
 * @bond: bond whose stage 1 the transaction failed in; any bond of the device
 *	for a PASID that has none
 * @event: what happened. The PASID is the one on the bus.
 *
 * Faults of stage 2 are the host's and are not reported here.
 *
 * Context: any, also hard interrupt. The caller makes sure that
 * &iommu_uapi_ops.unbind has not returned for @bond.
 *
 * Return: 0, -ENOSPC if the queue is full (the loss is counted), or -ENODEV if
 * user space does not listen, or not to this bond any more
 */
int iommu_uapi_report_unrecoverable(struct iommu_uapi_bond *bond,
				    const struct iommu_fault_unrecoverable *event)
{
	struct iommu_uapi_dev *udev = bond->udev;
	struct iommu_uapi_faults *faults;
	struct uapi_iommu_fault rec;
	unsigned long flags;
	int ret = 0;

	KUNIT_STATIC_STUB_REDIRECT(iommu_uapi_report_unrecoverable, bond, event);

	iommu_uapi_encode_unrecoverable(&rec, bond, event);

	raw_spin_lock_irqsave(&udev->fault_lock, flags);
	faults = udev->faults;
	if (!faults || bond->dying) {
		ret = -ENODEV;
	} else if (make_room(faults, 1)) {
		push(faults, bond, &rec);
	} else {
		faults->lost.unrecoverable++;
		ret = -ENOSPC;
	}
	if (faults)
		irq_work_queue(&faults->wake);
	raw_spin_unlock_irqrestore(&udev->fault_lock, flags);

	trace_iommu_uapi_unrecoverable(bond, &rec.event, ret);
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_uapi_report_unrecoverable);

/**
 * iommu_uapi_report_lost() - Report that the hardware may have lost faults
 * @bond: bond whose transactions may have been among those that failed
 *
 * For hardware that says neither how many reports it had no room for nor whose
 * they were: counts as one unrecoverable fault. The record is read after those that
 * are in the queue.
 *
 * Context: any, also hard interrupt. The caller makes sure that
 * &iommu_uapi_ops.unbind has not returned for @bond.
 */
void iommu_uapi_report_lost(struct iommu_uapi_bond *bond)
{
	struct iommu_uapi_dev *udev = bond->udev;
	unsigned long flags;

	KUNIT_STATIC_STUB_REDIRECT(iommu_uapi_report_lost, bond);

	raw_spin_lock_irqsave(&udev->fault_lock, flags);
	if (udev->faults && !bond->dying) {
		udev->faults->lost.unrecoverable++;
		irq_work_queue(&udev->faults->wake);
	}
	raw_spin_unlock_irqrestore(&udev->fault_lock, flags);
}
EXPORT_SYMBOL_GPL(iommu_uapi_report_lost);

/**
 * iommu_uapi_faults_ignore() - Queue no more faults of a bond
 * @bond: bond that is about to be unbound
 */
void iommu_uapi_faults_ignore(struct iommu_uapi_bond *bond)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&bond->udev->fault_lock, flags);
	bond->dying = true;
	raw_spin_unlock_irqrestore(&bond->udev->fault_lock, flags);
}

/* Take the groups of @bond, or all, out of the queue and onto @list. */
static void take_groups(struct iommu_uapi_faults *faults,
			struct iommu_uapi_bond *bond, struct list_head *list)
{
	struct iopf_group *group, *next;
	unsigned int i;
	u32 seq;

	if (!faults)
		return;
	lockdep_assert_held(&faults->udev->fault_lock);

	for (i = 0; faults->nr_requests && i < ARRAY_SIZE(faults->groups); i++) {
		list_for_each_entry_safe(group, next, &faults->groups[i], node) {
			if (bond && group_bond(group) != bond)
				continue;
			list_move_tail(&group->node, list);
			faults->nr_requests -= group->fault_count;
		}
	}

	/*
	 * A request that was not read yet must not be: after the PASID has been
	 * bound anew it would look like one of the new binding.
	 */
	for (seq = faults->tail; seq != faults->head; seq++) {
		struct fault_slot *s = slot(faults, seq);

		if (s->rec.type == UAPI_IOMMU_FAULT_PAGE_REQ &&
		    (!bond || s->bond == bond))
			s->rec.type = 0;
	}
	skip_holes(faults);
}

static void answer_all(struct list_head *list)
{
	struct iopf_group *group, *next;

	list_for_each_entry_safe(group, next, list, node) {
		list_del(&group->node);
		answer(group_bond(group), group, IOMMU_PAGE_RESP_INVALID);
	}
}

/**
 * iommu_uapi_faults_flush() - Answer what is outstanding for a bond
 * @bond: bond that the vendor driver has unbound, of a device that is locked for
 *	writing
 */
void iommu_uapi_faults_flush(struct iommu_uapi_bond *bond)
{
	struct iommu_uapi_dev *udev = bond->udev;
	unsigned long flags;
	LIST_HEAD(list);

	lockdep_assert_held_write(&udev->lock);

	raw_spin_lock_irqsave(&udev->fault_lock, flags);
	take_groups(udev->faults, bond, &list);
	raw_spin_unlock_irqrestore(&udev->fault_lock, flags);

	answer_all(&list);
	/* With a table page requests go off, and with them what is partial. */
	if (!bond->table)
		iopf_discard_partial_pasid(bond->dev, bond->pasid);
}

/**
 * iommu_uapi_faults_disconnect() - Part a device from its fault file
 * @udev: the device's entry, locked for writing
 *
 * Answers what is outstanding. Readers of the file come to its end.
 */
void iommu_uapi_faults_disconnect(struct iommu_uapi_dev *udev)
{
	struct iommu_uapi_faults *faults = udev->faults;
	unsigned long flags;
	LIST_HEAD(list);

	lockdep_assert_held_write(&udev->lock);

	if (!faults)
		return;

	raw_spin_lock_irqsave(&udev->fault_lock, flags);
	take_groups(faults, NULL, &list);
	faults->dead = true;
	udev->faults = NULL;
	raw_spin_unlock_irqrestore(&udev->fault_lock, flags);

	wake_up_poll(&faults->wait, EPOLLHUP | EPOLLIN);
	answer_all(&list);
}

/* Have a look at the oldest record. False if there is none, or no more. */
static bool peek(struct iommu_uapi_faults *faults,
		 struct uapi_iommu_fault *rec, u32 *seq)
{
	bool found;

	raw_spin_lock_irq(&faults->udev->fault_lock);
	if (faults->tail == faults->head && has_lost(faults))
		push_lost(faults);
	found = !faults->dead && faults->tail != faults->head;
	if (found) {
		*seq = faults->tail;
		*rec = slot(faults, *seq)->rec;
	}
	raw_spin_unlock_irq(&faults->udev->fault_lock);
	return found;
}

/* The record of that number has reached user space. */
static void consume(struct iommu_uapi_faults *faults, u32 seq)
{
	raw_spin_lock_irq(&faults->udev->fault_lock);
	/* Unless it was taken out of the queue in the meantime */
	if (faults->tail == seq) {
		faults->tail++;
		skip_holes(faults);
	}
	raw_spin_unlock_irq(&faults->udev->fault_lock);
}

static bool is_readable(struct iommu_uapi_faults *faults)
{
	bool ret;

	raw_spin_lock_irq(&faults->udev->fault_lock);
	ret = faults->dead || faults->tail != faults->head || has_lost(faults);
	raw_spin_unlock_irq(&faults->udev->fault_lock);
	return ret;
}

static ssize_t read_records(struct iommu_uapi_faults *faults, char __user *buf,
			    size_t count)
{
	struct uapi_iommu_fault rec;
	size_t done = 0;
	u32 seq;

	while (count - done >= sizeof(rec) && peek(faults, &rec, &seq)) {
		if (copy_to_user(buf + done, &rec, sizeof(rec)))
			return done ?: -EFAULT;
		consume(faults, seq);
		done += sizeof(rec);
	}
	return done;
}

static ssize_t faults_read(struct file *file, char __user *buf, size_t count,
			   loff_t *ppos)
{
	struct iommu_uapi_faults *faults = file->private_data;
	ssize_t ret;

	if (count < sizeof(struct uapi_iommu_fault))
		return -EINVAL;

	for (;;) {
		if (mutex_lock_interruptible(&faults->read_lock))
			return -ERESTARTSYS;
		ret = read_records(faults, buf, count);
		mutex_unlock(&faults->read_lock);

		if (ret || READ_ONCE(faults->dead))
			return ret;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(faults->wait, is_readable(faults)))
			return -ERESTARTSYS;
	}
}

/* Does a response name this group, whose last record has been read? */
static bool is_answered_by(struct iommu_uapi_faults *faults,
			   struct iopf_group *group,
			   const struct uapi_iommu_page_response *resp)
{
	const struct iommu_fault_page_request *prm = &group->last_fault.fault.prm;
	const struct iommu_uapi_bond *bond = group_bond(group);
	bool has_pasid = resp->flags & IOMMU_PAGE_RESP_PASID_VALID;

	if (prm->grpid != resp->grpid || group_has_pasid(group) != has_pasid ||
	    (s32)(faults->tail - group->cookie) <= 0)
		return false;
	if (resp->flags & IOMMU_PAGE_RESP_GPASID)
		return bond->has_gpasid && bond->gpasid == resp->pasid;
	return !has_pasid || prm->pasid == resp->pasid;
}

/* The oldest group that a response names, out of the queue; or NULL */
static struct iopf_group *
take_group(struct iommu_uapi_faults *faults,
	   const struct uapi_iommu_page_response *resp)
{
	struct iommu_uapi_dev *udev = faults->udev;
	struct iommu_uapi_bond *bond;
	struct iopf_group *group;
	u32 pasid = resp->pasid;

	/* The queue knows the PASID on the bus. */
	if (resp->flags & IOMMU_PAGE_RESP_GPASID) {
		bond = xa_load(&udev->gpasids, pasid);
		if (!bond)
			return NULL;
		pasid = bond->pasid;
	}

	raw_spin_lock_irq(&udev->fault_lock);
	list_for_each_entry(group, bucket(faults, resp->flags &
						  IOMMU_PAGE_RESP_PASID_VALID,
					  pasid, resp->grpid), node) {
		if (is_answered_by(faults, group, resp)) {
			list_del(&group->node);
			faults->nr_requests -= group->fault_count;
			raw_spin_unlock_irq(&udev->fault_lock);
			return group;
		}
	}
	raw_spin_unlock_irq(&udev->fault_lock);
	return NULL;
}

static int respond(struct iommu_uapi_faults *faults,
		   const struct uapi_iommu_page_response *resp)
{
	struct iommu_uapi_dev *udev = faults->udev;
	struct iopf_group *group;
	int ret = -ENODEV;

	/* Until the answer is given, the binding and the device must not go. */
	down_read(&udev->lock);
	if (!faults->dead) {
		group = take_group(faults, resp);
		if (group)
			answer(group_bond(group), group, resp->code);
		ret = group ? 0 : -ENOENT;
	}
	up_read(&udev->lock);
	return ret;
}

static ssize_t faults_write(struct file *file, const char __user *buf,
			    size_t count, loff_t *ppos)
{
	struct iommu_uapi_faults *faults = file->private_data;
	union iommu_uapi_payload payload;
	size_t done = 0;
	int ret = 0;

	if (!count)
		return -EINVAL;
	while (done < count && !fatal_signal_pending(current)) {
		ret = iommu_uapi_copy_from_user(&payload,
						IOMMU_UAPI_PAGE_RESPONSE,
						buf + done, count - done);
		if (!ret)
			ret = respond(faults, &payload.resp);
		if (ret)
			break;
		done += payload.resp.argsz;
	}
	return done ?: ret ?: -EINTR;
}

static __poll_t faults_poll(struct file *file, struct poll_table_struct *wait)
{
	struct iommu_uapi_faults *faults = file->private_data;

	poll_wait(file, &faults->wait, wait);
	if (READ_ONCE(faults->dead))
		return EPOLLHUP | EPOLLIN | EPOLLRDNORM;
	if (is_readable(faults))
		return EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM;
	return EPOLLOUT | EPOLLWRNORM;
}

static int faults_release(struct inode *inode, struct file *file)
{
	struct iommu_uapi_faults *faults = file->private_data;
	struct iommu_uapi_dev *udev = faults->udev;

	down_write(&udev->lock);
	if (udev->faults == faults)
		iommu_uapi_faults_disconnect(udev);
	up_write(&udev->lock);

	faults_free(faults);
	return 0;
}

static const struct file_operations faults_fops = {
	.owner		= THIS_MODULE,
	.read		= faults_read,
	.write		= faults_write,
	.poll		= faults_poll,
	.release	= faults_release,
};

/* Make @faults the queue that the device reports to. */
static int connect(struct iommu_uapi_dev *udev, struct iommu_uapi_faults *faults)
{
	int ret = 0;

	down_write(&udev->lock);
	if (udev->gone)
		ret = -ENODEV;
	else if (!udev->ops)
		ret = -EOPNOTSUPP;
	else if (!iommu_uapi_dev_is_alone(udev))
		ret = -EPERM;
	else if (udev->faults)
		ret = -EBUSY;
	if (!ret) {
		raw_spin_lock_irq(&udev->fault_lock);
		udev->faults = faults;
		raw_spin_unlock_irq(&udev->fault_lock);
	}
	up_write(&udev->lock);
	return ret;
}

/**
 * iommu_uapi_fault_file() - Open the fault file of a device
 * @ctx: the context
 * @dev: a device of it, open; the file does not keep it so, but comes to its end
 *	with iommu_uapi_close_device() or iommu_uapi_detach_group()
 *
 * Return: the file, or an error pointer: -EBUSY if the device has one, -EPERM if
 * it shares its IOMMU group, -EOPNOTSUPP without nested translation, -ENODEV,
 * -ENOMEM
 */
struct file *iommu_uapi_fault_file(struct iommu_uapi_ctx *ctx,
				   struct device *dev)
{
	struct iommu_uapi_faults *faults;
	struct iommu_uapi_dev *udev;
	struct file *file;
	int ret;

	udev = iommu_uapi_dev_get(ctx, dev);
	if (!udev)
		return ERR_PTR(-ENODEV);
	faults = faults_alloc(udev);
	iommu_uapi_dev_put(udev);
	if (!faults)
		return ERR_PTR(-ENOMEM);

	file = anon_inode_getfile("[iommu-fault]", &faults_fops, faults, O_RDWR);
	if (IS_ERR(file)) {
		faults_free(faults);
		return file;
	}

	ret = connect(faults->udev, faults);
	if (ret) {
		fput(file);
		return ERR_PTR(ret);
	}
	return file;
}
EXPORT_SYMBOL_GPL(iommu_uapi_fault_file);
