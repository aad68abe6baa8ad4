// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: cache invalidation
 *
 * The hot path of the API. It takes no lock of the context, and of each device
 * only the reader's side of a lock that is held for writing while that device's
 * own bindings change. It allocates nothing.
 *
 * There is no way to tell a guest that its invalidation has failed, so each
 * error has to reach the caller, who then must not report completion.
 */
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "private.h"
#include "trace.h"

/* Which bonds of a device a request is about */
struct selector {
	bool all;
	bool gpasid;
	ioasid_t pasid;
};

/*
 * For page tables. What a PASID table has is selected by the vendor driver,
 * since the numbers are the guest's own.
 */
static int get_selector(struct selector *sel,
			const struct iommu_cache_invalidate_info *inv)
{
	const struct iommu_inv_pasid_info *pasid = &inv->granu.pasid_info;
	const struct iommu_inv_addr_info *addr = &inv->granu.addr_info;

	*sel = (struct selector) {};
	switch (inv->granularity) {
	case IOMMU_INV_GRANU_PASID:
		/* Page tables have no tag of the guest: ARCHID selects nothing */
		if (!(pasid->flags & (IOMMU_INV_PASID_FLAGS_PASID |
				      IOMMU_INV_PASID_FLAGS_NO_PASID)))
			return -EINVAL;
		sel->gpasid = pasid->flags & IOMMU_INV_PASID_FLAGS_GPASID;
		if (pasid->flags & IOMMU_INV_PASID_FLAGS_PASID)
			sel->pasid = pasid->pasid;
		return 0;
	case IOMMU_INV_GRANU_ADDR:
		sel->all = !(addr->flags & (IOMMU_INV_ADDR_FLAGS_PASID |
					    IOMMU_INV_ADDR_FLAGS_NO_PASID));
		sel->gpasid = addr->flags & IOMMU_INV_ADDR_FLAGS_GPASID;
		if (addr->flags & IOMMU_INV_ADDR_FLAGS_PASID)
			sel->pasid = addr->pasid;
		return 0;
	default:
		sel->all = true;
		return 0;
	}
}

static int invalidate_bond(struct iommu_uapi_bond *bond,
			   const struct iommu_cache_invalidate_info *inv)
{
	int ret = bond->udev->ops->invalidate(bond, inv);

	trace_iommu_uapi_invalidate(bond, inv, ret);
	return ret;
}

static int invalidate_pgtbls(struct iommu_uapi_dev *udev,
			     const struct iommu_cache_invalidate_info *inv)
{
	struct iommu_uapi_bond *bond;
	struct selector sel;
	unsigned long pasid;
	int ret, err = 0;

	ret = get_selector(&sel, inv);
	if (ret)
		return ret;

	if (!sel.all) {
		bond = xa_load(sel.gpasid ? &udev->gpasids : &udev->bonds,
			       sel.pasid);
		return bond ? invalidate_bond(bond, inv) : -ENOENT;
	}

	xa_for_each(&udev->bonds, pasid, bond) {
		ret = invalidate_bond(bond, inv);
		err = err ?: ret;
	}
	return err;
}

static int invalidate_locked(struct iommu_uapi_dev *udev,
			     const struct iommu_cache_invalidate_info *inv)
{
	const struct iommu_nesting_info *info = &udev->info;

	if (udev->gone)
		return -ENODEV;
	if (!udev->ops || !(info->features & IOMMU_NESTING_FEAT_CACHE_INVLD))
		return -EOPNOTSUPP;
	if (inv->cache & ~info->caches ||
	    !(BIT(inv->granularity) & info->granularities))
		return -EINVAL;
	if (udev->table)
		return invalidate_bond(udev->table, inv);
	return invalidate_pgtbls(udev, inv);
}

static int invalidate_dev(struct iommu_uapi_dev *udev,
			  const struct iommu_cache_invalidate_info *inv)
{
	int ret;

	down_read(&udev->lock);
	ret = invalidate_locked(udev, inv);
	up_read(&udev->lock);
	return ret;
}

/*
 * Tried on all devices, the first error wins. A device without the binding that
 * is named has nothing cached, but some device must have it.
 */
static int invalidate_all(struct iommu_uapi_ctx *ctx,
			  const struct iommu_cache_invalidate_info *inv)
{
	struct iommu_uapi_dev *udev;
	int ret, err = 0, found = 0;
	unsigned long index = 0;

	while ((udev = iommu_uapi_dev_next(ctx, &index))) {
		ret = invalidate_dev(udev, inv);
		iommu_uapi_dev_put(udev);
		/* It has left the context meanwhile, with all its bindings */
		if (ret == -ENODEV)
			continue;
		if (ret != -ENOENT)
			found++;
		if (ret && ret != -ENOENT)
			err = err ?: ret;
	}
	return err ?: found ? 0 : -ENOENT;
}

/**
 * iommu_uapi_invalidate() - Invalidate caches of guest translations
 * @ctx: the context
 * @dev: a device of it, or NULL for all
 * @inv: what to invalidate; has passed the copy step
 *
 * May wait for hardware. Calls run in parallel, except with a change of the same
 * device's bindings.
 *
 * Return: 0 when the hardware has confirmed that no stale entry is left of what
 * @inv covers, or
 * * -ENOENT: no device has the binding that @inv names
 * * -EINVAL: the hardware has no such cache or granularity
 * * -EOPNOTSUPP: a device has no invalidation, or no nested translation
 * * -ENODEV: @dev is not, or no longer, in @ctx
 * * -ETIMEDOUT, -EIO: the hardware has not confirmed it
 */
int iommu_uapi_invalidate(struct iommu_uapi_ctx *ctx, struct device *dev,
			  const struct iommu_cache_invalidate_info *inv)
{
	struct iommu_uapi_dev *udev;
	int ret;

	if (!dev)
		return invalidate_all(ctx, inv);

	udev = iommu_uapi_dev_get(ctx, dev);
	if (!udev)
		return -ENODEV;
	ret = invalidate_dev(udev, inv);
	iommu_uapi_dev_put(udev);
	return ret;
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
