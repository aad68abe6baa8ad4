// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: PASIDs that a context owns
 *
 * The numbers come from the host's one space, shared with its own users of
 * shared virtual addressing, so that a device can tell a guest's PASID from the
 * host's.
 */
#include "private.h"

/* Number of PASIDs that all devices of the context can send, or an error */
static int pasid_limit(struct iommu_uapi_ctx *ctx)
{
	u32 limit = IOMMU_UAPI_NR_PASIDS;
	struct iommu_uapi_dev *udev;
	unsigned long index;

	lockdep_assert_held(&ctx->lock);

	if (xa_empty(&ctx->devs))
		return -EOPNOTSUPP;
	xa_for_each(&ctx->devs, index, udev) {
		if (!(udev->info.features & IOMMU_NESTING_FEAT_SYSWIDE_PASID))
			return -EOPNOTSUPP;
		limit = min(limit, 1U << udev->info.pasid_bits);
	}
	return limit;
}

static int alloc_locked(struct iommu_uapi_ctx *ctx, u32 min, u32 max)
{
	int limit, pasid, ret;

	limit = pasid_limit(ctx);
	if (limit < 0)
		return limit;
	if (min >= limit)
		return -EINVAL;
	if (ctx->nr_pasids >= ctx->pasid_quota)
		return -EDQUOT;

	max = min_t(u32, max, limit - 1);
	if (!max)
		return -ENOSPC;
	pasid = iommu_alloc_global_pasid_range(min, max);
	if (pasid < 0)
		return pasid;

	ret = xa_insert(&ctx->pasids, pasid, xa_mk_value(1), GFP_KERNEL);
	if (ret) {
		iommu_free_global_pasid(pasid);
		return ret;
	}
	ctx->nr_pasids++;
	return pasid;
}

/**
 * iommu_uapi_pasid_alloc() - Allocate a PASID that the context then owns
 * @ctx: the context
 * @req: a request that has passed the copy step; @req->pasid is set. Numbers of
 *	the range that the devices cannot send are not considered.
 *
 * Return: 0, -EOPNOTSUPP if PASIDs do not come from the host here, -EINVAL if
 * the devices can send no PASID of the range, -EDQUOT at the context's quota,
 * -ENOSPC if all of the range are in use, -ENOMEM
 */
int iommu_uapi_pasid_alloc(struct iommu_uapi_ctx *ctx,
			   struct iommu_pasid_request *req)
{
	int ret;

	mutex_lock(&ctx->lock);
	ret = alloc_locked(ctx, req->min, req->max);
	mutex_unlock(&ctx->lock);
	if (ret < 0)
		return ret;

	req->pasid = ret;
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_pasid_alloc);

/* Returns the number of PASIDs freed */
static unsigned int free_locked(struct iommu_uapi_ctx *ctx, u32 min, u32 max)
{
	unsigned int nr = ctx->nr_pasids;
	unsigned long pasid;
	void *entry;

	xa_for_each_range(&ctx->pasids, pasid, entry, min, max) {
		iommu_uapi_unbind_pasid(ctx, pasid);
		xa_erase(&ctx->pasids, pasid);
		iommu_free_global_pasid(pasid);
		ctx->nr_pasids--;
	}
	return nr - ctx->nr_pasids;
}

/**
 * iommu_uapi_free_all_pasids() - Free the PASIDs that a context owns
 * @ctx: the context, locked
 */
void iommu_uapi_free_all_pasids(struct iommu_uapi_ctx *ctx)
{
	lockdep_assert_held(&ctx->lock);
	free_locked(ctx, 0, U32_MAX);
}

/**
 * iommu_uapi_pasid_free() - Free the PASIDs of a range that the context owns
 * @ctx: the context
 * @req: a request that has passed the copy step
 *
 * A PASID that is bound is unbound from all devices before its number can be
 * used again. The time depends on the number of PASIDs owned, not on the range.
 *
 * Return: 0, or -ENOENT if the context owns no PASID of the range
 */
int iommu_uapi_pasid_free(struct iommu_uapi_ctx *ctx,
			  const struct iommu_pasid_request *req)
{
	int ret;

	mutex_lock(&ctx->lock);
	ret = free_locked(ctx, req->min, req->max) ? 0 : -ENOENT;
	mutex_unlock(&ctx->lock);
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_uapi_pasid_free);
