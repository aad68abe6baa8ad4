// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: cache invalidation
 *
 * The hot path of the API. It takes no lock of the context, and only of devices
 * that have, or are about to have, what a request is about the reader's side of a
 * lock that is held for writing while that device's own bindings change; for
 * requests without PASID, for a moment, that of the device's group. It allocates
 * nothing.
 *
 * There is no way to tell a guest that its invalidation has failed, so each
 * error has to reach the caller, who then must not report completion.
 */
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "private.h"
#include "trace.h"

/* Whose entries a request is about */
struct selector {
	bool all;		/* of all bindings */
	bool no_pasid;		/* of the requests without PASID */
	bool gpasid;		/* pasid is the guest's number */
	u64 pasid;
};

static void get_selector(struct selector *sel,
			 const struct iommu_cache_invalidate_info *inv)
{
	const struct iommu_inv_pasid_info *pasid = &inv->granu.pasid_info;
	const struct iommu_inv_addr_info *addr = &inv->granu.addr_info;

	*sel = (struct selector) { .all = true };
	switch (inv->granularity) {
	case IOMMU_INV_GRANU_PASID:
		sel->all = !(pasid->flags & (IOMMU_INV_PASID_FLAGS_PASID |
					     IOMMU_INV_PASID_FLAGS_NO_PASID));
		sel->no_pasid = pasid->flags & IOMMU_INV_PASID_FLAGS_NO_PASID;
		sel->gpasid = pasid->flags & IOMMU_INV_PASID_FLAGS_GPASID;
		sel->pasid = pasid->pasid;
		break;
	case IOMMU_INV_GRANU_ADDR:
		sel->all = !(addr->flags & (IOMMU_INV_ADDR_FLAGS_PASID |
					    IOMMU_INV_ADDR_FLAGS_NO_PASID));
		sel->no_pasid = addr->flags & IOMMU_INV_ADDR_FLAGS_NO_PASID;
		sel->gpasid = addr->flags & IOMMU_INV_ADDR_FLAGS_GPASID;
		sel->pasid = addr->pasid;
		break;
	}
}

static struct iommu_uapi_bond *find_bond(struct iommu_uapi_dev *udev,
					 const struct selector *sel)
{
	if (sel->no_pasid)
		return xa_load(&udev->bonds, IOMMU_NO_PASID);
	if (sel->gpasid)
		return xa_load(&udev->gpasids, sel->pasid);
	/* PASID 0 is no name for the requests without PASID */
	return sel->pasid ? xa_load(&udev->bonds, sel->pasid) : NULL;
}

static int invalidate_bond(struct iommu_uapi_bond *bond,
			   const struct iommu_cache_invalidate_info *inv)
{
	int ret;

	lockdep_assert_held(&bond->udev->lock);

	ret = bond->udev->ops->invalidate(bond, inv);
	/*
	 * Who has joined the group is given its domain, and what that one has
	 * cached has not been asked for. If it is not seen here, it has left, with
	 * the domain taken from it, or has yet to be given it, and will find the
	 * tables as the guest has changed them.
	 */
	if (!ret && bond->domain && bond->pasid == IOMMU_NO_PASID &&
	    !iommu_uapi_dev_is_alone(bond->udev))
		ret = -EIO;
	trace_iommu_uapi_invalidate(bond, inv, ret);
	return ret;
}

/* All page tables of a device */
static int invalidate_pgtbls(struct iommu_uapi_dev *udev,
			     const struct iommu_cache_invalidate_info *inv)
{
	struct iommu_uapi_bond *bond;
	unsigned long pasid;
	int ret, err = 0;

	/* Page tables have no tag of the guest's: ARCHID selects nothing */
	if (inv->granularity == IOMMU_INV_GRANU_PASID)
		return -EINVAL;
	xa_for_each(&udev->bonds, pasid, bond) {
		ret = invalidate_bond(bond, inv);
		err = err ?: ret;
	}
	return err;
}

/*
 * A device on which nothing is bound that is meant has nothing cached, and no say
 * in whether the caches of others can be invalidated. What a PASID table has
 * cached is selected by the vendor driver, since the numbers are the guest's own.
 */
static int invalidate_locked(struct iommu_uapi_dev *udev,
			     const struct selector *sel,
			     const struct iommu_cache_invalidate_info *inv,
			     bool *found)
{
	const struct iommu_nesting_info *info = &udev->info;
	struct iommu_uapi_bond *bond = udev->table;

	if (!bond && !sel->all)
		bond = find_bond(udev, sel);
	*found = bond;
	if (!bond && (!sel->all || xa_empty(&udev->bonds)))
		return 0;

	if (!(info->features & IOMMU_NESTING_FEAT_CACHE_INVLD))
		return -EOPNOTSUPP;
	if (inv->cache & ~info->caches ||
	    !(BIT(inv->granularity) & info->granularities))
		return -EINVAL;
	return bond ? invalidate_bond(bond, inv) : invalidate_pgtbls(udev, inv);
}

/*
 * Whether a request concerns a device. Asked without its lock, which a bind of
 * something else may hold for long: a binding is here before the hardware has it,
 * and until the hardware has forgotten it.
 */
static bool concerns(struct iommu_uapi_dev *udev, const struct selector *sel)
{
	/*
	 * The guest has changed its tables, then asked. Hardware that is given a
	 * binding which is not seen here has to find them changed. Pairs with the
	 * barrier between inserting a binding and giving it to the hardware.
	 */
	smp_mb();
	if (READ_ONCE(udev->table))
		return true;
	return sel->all ? !xa_empty(&udev->bonds) : !!find_bond(udev, sel);
}

static int invalidate_dev(struct iommu_uapi_dev *udev,
			  const struct selector *sel,
			  const struct iommu_cache_invalidate_info *inv,
			  bool *found)
{
	int ret;

	*found = false;
	if (!concerns(udev, sel))
		return 0;

	down_read(&udev->lock);
	ret = invalidate_locked(udev, sel, inv, found);
	up_read(&udev->lock);
	return ret;
}

/* Tried on all devices, the first error wins. */
static int invalidate_all(struct iommu_uapi_ctx *ctx,
			  const struct selector *sel,
			  const struct iommu_cache_invalidate_info *inv,
			  bool *found)
{
	struct iommu_uapi_dev *udev;
	unsigned long index = 0;
	int ret, err = 0;
	bool here;

	*found = false;
	while ((udev = iommu_uapi_dev_next(ctx, &index))) {
		ret = invalidate_dev(udev, sel, inv, &here);
		iommu_uapi_dev_put(udev);
		err = err ?: ret;
		*found |= here;
	}
	return err;
}

/**
 * iommu_uapi_invalidate() - Invalidate caches of guest translations
 * @ctx: the context
 * @dev: a device of it, or NULL for all
 * @inv: what to invalidate; has passed the copy step
 *
 * May wait for hardware, and for a change of bindings under way on a device that
 * has what @inv is about. Otherwise calls run in parallel with all others.
 *
 * Return:
 * * 0: the hardware has confirmed that no stale entry is left of what @inv covers
 * * -ENOENT: no device has the binding that @inv names
 * * -EINVAL: the hardware has no such cache or granularity, or page tables are
 *   bound and @inv names none of them
 * * -EOPNOTSUPP: a device with bindings has no invalidation
 * * -ENODEV: @dev is not, or no longer, in @ctx
 * * -ETIMEDOUT, -EIO: the hardware has not confirmed it, or a device that has
 *   joined the group since the bind may have cached it
 */
int iommu_uapi_invalidate(struct iommu_uapi_ctx *ctx, struct device *dev,
			  const struct iommu_cache_invalidate_info *inv)
{
	struct iommu_uapi_dev *udev;
	struct selector sel;
	bool found;
	int ret;

	get_selector(&sel, inv);
	if (dev) {
		udev = iommu_uapi_dev_get(ctx, dev);
		if (!udev)
			return -ENODEV;
		ret = invalidate_dev(udev, &sel, inv, &found);
		iommu_uapi_dev_put(udev);
	} else {
		ret = invalidate_all(ctx, &sel, inv, &found);
	}
	if (ret)
		return ret;
	return found || sel.all ? 0 : -ENOENT;
}
EXPORT_SYMBOL_GPL(iommu_uapi_invalidate);

/**
 * iommu_uapi_invalidate_batch() - Invalidate caches, several requests in order
 * @ctx: the context
 * @dev: a device of it, or NULL for all
 * @batch: where user space has the requests; has passed the copy step.
 *	@batch->done is set, also if the call fails.
 *
 * Ends at the first request that fails, or when a fatal signal arrives. Each
 * request is copied when its turn comes.
 *
 * Return: 0 if all requests are complete; -EINTR; otherwise what the copy step or
 * iommu_uapi_invalidate() says of request number @batch->done
 */
int iommu_uapi_invalidate_batch(struct iommu_uapi_ctx *ctx, struct device *dev,
				struct iommu_cache_invalidate_batch *batch)
{
	const void __user *entry = u64_to_user_ptr(batch->entries);
	union iommu_uapi_payload payload;
	int ret;

	for (; batch->done < batch->count; batch->done++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		ret = iommu_uapi_copy_from_user(&payload, IOMMU_UAPI_INVALIDATE,
						entry, batch->entry_size);
		if (ret)
			return ret;
		ret = iommu_uapi_invalidate(ctx, dev, &payload.inv);
		if (ret)
			return ret;
		entry += batch->entry_size;
		cond_resched();
	}
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_invalidate_batch);
