/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VFIO: guest page tables in containers of type VFIO_TYPE1_NESTING_IOMMU; what
 * vfio_iommu_type1.c calls. @ctx is NULL in containers of other types.
 */
#ifndef __VFIO_IOMMU_NESTING_H
#define __VFIO_IOMMU_NESTING_H

#include <linux/iommu.h>
#include <linux/vfio.h>

struct iommu_uapi_ctx;

#if IS_ENABLED(CONFIG_VFIO_IOMMU_NESTING)
struct iommu_uapi_ctx *vfio_nesting_alloc(void);
void vfio_nesting_free(struct iommu_uapi_ctx *ctx);
int vfio_nesting_domain_alloc(struct device *dev, void *data);
int vfio_nesting_attach_group(struct iommu_uapi_ctx *ctx,
			      struct iommu_group *group,
			      struct iommu_domain *stage2);
void vfio_nesting_detach_group(struct iommu_uapi_ctx *ctx,
			       struct iommu_group *group);
void vfio_nesting_close_device(struct iommu_uapi_ctx *ctx,
			       struct vfio_device *vdev);
int vfio_nesting_add_cap(struct iommu_uapi_ctx *ctx,
			 struct vfio_info_cap *caps);
int vfio_nesting_ioctl(struct iommu_uapi_ctx *ctx, unsigned int cmd,
		       void __user *arg);
int vfio_nesting_device_feature(struct iommu_uapi_ctx *ctx,
				struct vfio_device *vdev, u32 flags,
				void __user *arg, size_t argsz);
#else
static inline struct iommu_uapi_ctx *vfio_nesting_alloc(void)
{
	return NULL;
}

static inline void vfio_nesting_free(struct iommu_uapi_ctx *ctx)
{
}

static inline int vfio_nesting_domain_alloc(struct device *dev, void *data)
{
	struct iommu_domain **domain = data;
	int ret;

	*domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(*domain))
		return 1;

	ret = iommu_enable_nesting(*domain);
	if (ret) {
		iommu_domain_free(*domain);
		*domain = ERR_PTR(ret);
	}
	return 1; /* one device speaks for its group */
}

static inline int vfio_nesting_attach_group(struct iommu_uapi_ctx *ctx,
					    struct iommu_group *group,
					    struct iommu_domain *stage2)
{
	return 0;
}

static inline void vfio_nesting_detach_group(struct iommu_uapi_ctx *ctx,
					     struct iommu_group *group)
{
}

static inline void vfio_nesting_close_device(struct iommu_uapi_ctx *ctx,
					     struct vfio_device *vdev)
{
}

static inline int vfio_nesting_add_cap(struct iommu_uapi_ctx *ctx,
				       struct vfio_info_cap *caps)
{
	return 0;
}

static inline int vfio_nesting_ioctl(struct iommu_uapi_ctx *ctx,
				     unsigned int cmd, void __user *arg)
{
	return -ENOTTY;
}

static inline int vfio_nesting_device_feature(struct iommu_uapi_ctx *ctx,
					      struct vfio_device *vdev,
					      u32 flags, void __user *arg,
					      size_t argsz)
{
	return -ENOTTY;
}
#endif

#endif /* __VFIO_IOMMU_NESTING_H */
