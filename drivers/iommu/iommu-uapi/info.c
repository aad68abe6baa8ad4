// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: the query by which compatibility is decided before a guest
 * starts
 */
#include <linux/minmax.h>
#include <linux/pci.h>
#include <linux/string.h>

#include "../iommu-priv.h"
#include "private.h"

#define IOMMU_UAPI_FEATURES	(IOMMU_NESTING_FEAT_SYSWIDE_PASID |	\
				 IOMMU_NESTING_FEAT_BIND_PGTBL |	\
				 IOMMU_NESTING_FEAT_BIND_PASID_TABLE |	\
				 IOMMU_NESTING_FEAT_CACHE_INVLD |	\
				 IOMMU_NESTING_FEAT_PAGE_REQUEST)

/**
 * iommu_uapi_dev_init_info() - Ask the vendor driver what a device can do
 * @udev: entry that is being set up; keeps the answer
 *
 * Context: nobody takes the device from its IOMMU driver meanwhile
 */
void iommu_uapi_dev_init_info(struct iommu_uapi_dev *udev)
{
	const struct iommu_uapi_ops *ops = dev_iommu_ops(udev->dev)->uapi_ops;
	struct iommu_nesting_info *info = &udev->info;

	if (!ops)
		return;
	if (ops->info(udev->dev, udev->stage2, info)) {
		memset(info, 0, sizeof(*info));
		return;
	}

	info->features &= IOMMU_UAPI_FEATURES;
	/*
	 * Virtual functions share the page request interface of their physical
	 * function (PCIe 6.0 section 10.5.2): a guest that answers "failure"
	 * would turn it off for all.
	 */
	if (dev_is_pci(udev->dev) && to_pci_dev(udev->dev)->is_virtfn)
		info->features &= ~IOMMU_NESTING_FEAT_PAGE_REQUEST;
	/* No PASID that the device cannot send */
	if (udev->dev->iommu->max_pasids) {
		info->pasid_bits = min3((int)info->pasid_bits,
					IOMMU_UAPI_PASID_BITS,
					fls(udev->dev->iommu->max_pasids) - 1);
	} else {
		info->pasid_bits = 0;
		info->features &= ~IOMMU_NESTING_FEAT_SYSWIDE_PASID;
	}
	udev->ops = ops;
}

/* Reduce the vendor member to what holds for both devices. */
static void merge_vendor(struct iommu_nesting_info *into,
			 const struct iommu_uapi_dev *udev)
{
	if (udev->ops->info_merge)
		udev->ops->info_merge(into, &udev->info);
	else if (memcmp(&into->vendor, &udev->info.vendor, sizeof(into->vendor)))
		memset(&into->vendor, 0, sizeof(into->vendor));
}

/* Returns 0 or -EOPNOTSUPP */
static int merge(struct iommu_nesting_info *into, struct iommu_uapi_dev *udev)
{
	const struct iommu_nesting_info *from = &udev->info;
	u32 features = from->features;

	if (!udev->ops)
		return -EOPNOTSUPP;
	/* What every bind would refuse is not there */
	if (!iommu_uapi_dev_is_alone(udev))
		features &= ~(IOMMU_NESTING_FEAT_BIND_PGTBL |
			      IOMMU_NESTING_FEAT_BIND_PASID_TABLE |
			      IOMMU_NESTING_FEAT_PAGE_REQUEST);

	if (!into->format) {
		*into = *from;
		into->features = features;
		return 0;
	}
	if (into->format != from->format)
		return -EOPNOTSUPP;

	into->features &= features;
	into->caches &= from->caches;
	into->granularities &= from->granularities;
	into->addr_width = min(into->addr_width, from->addr_width);
	into->pasid_bits = min(into->pasid_bits, from->pasid_bits);
	merge_vendor(into, udev);
	return 0;
}

/**
 * iommu_uapi_get_info() - Tell what nested translation can do
 * @ctx: the context
 * @dev: a device of it, or NULL for what all its devices have in common
 * @info: where to
 *
 * Return: 0, or -EOPNOTSUPP if there is no device, or one without nested
 * translation, or devices with different formats
 */
int iommu_uapi_get_info(struct iommu_uapi_ctx *ctx, struct device *dev,
			struct iommu_nesting_info *info)
{
	struct iommu_uapi_dev *udev;
	unsigned long index = 0;
	int ret = 0;

	memset(info, 0, sizeof(*info));
	if (dev) {
		udev = iommu_uapi_dev_get(ctx, dev);
		if (!udev)
			return -EOPNOTSUPP;
		ret = merge(info, udev);
		iommu_uapi_dev_put(udev);
	} else {
		while ((udev = iommu_uapi_dev_next(ctx, &index))) {
			ret = ret ?: merge(info, udev);
			iommu_uapi_dev_put(udev);
		}
	}
	if (ret)
		return ret;
	if (!info->format)
		return -EOPNOTSUPP;

	info->argsz = sizeof(*info);
	info->nr_payloads = iommu_uapi_payload_infos(info->payloads,
						     ARRAY_SIZE(info->payloads));
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_get_info);
