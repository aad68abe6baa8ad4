// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO: guest page tables in containers of type VFIO_TYPE1_NESTING_IOMMU
 *
 * Takes payloads of linux/iommu.h out of VFIO's wrappers (ioctls of the
 * container, features of a device) and hands them to the core of the IOMMU user
 * API, the only one to look inside. See Documentation/userspace-api/iommu.rst.
 *
 * Lifetimes:
 *
 * The context lives as long as the type1 data of its container, from
 * VFIO_SET_IOMMU until the last group has left and the last ioctl has returned
 * (struct vfio_container_iommu). An ioctl may therefore find a context without
 * groups, never one that is freed.
 *
 * A group of hardware enters the context when it is attached to the domain that
 * it keeps, after type1 has decided whether an earlier group's domain will do.
 * If that domain is new, its mappings are replayed after this, since memory that
 * a replay has pinned would not be unpinned if a later step failed. The group
 * leaves before it is detached from that domain, in detach_group and in release.
 * Emulated groups translate nothing and never enter.
 *
 * A device has its own bindings and fault file descriptor from open to last
 * close, and unregister_device is called for each last close. Features reach
 * only open devices, so they cannot meet that call for the same device; the
 * fault file descriptor can, and holds no reference that the close waits for.
 *
 * Locks:
 *
 * There are none here. VFIO calls with these held, outermost first:
 *
 *   attach, detach: vfio_group.group_lock, vfio_container.group_lock (write),
 *                   vfio_iommu.lock
 *   close:          vfio_group.group_lock, vfio_device_set.lock
 *   allocation of a domain: as attach, and the IOMMU group's mutex
 *   ioctl, feature, capability: nothing
 *
 * and the core's own locks come below all of them: its context's mutex, the
 * lock of each device, the IOMMU group's mutex. The core never calls back into
 * VFIO, so this order cannot be reversed. Type1 holds vfio_iommu.lock while it
 * pins memory, and for as long as a page of the user's takes to come: that is
 * why ioctls here stay clear of it, and an invalidation does not wait for a
 * mapping to be made or for a group to be attached.
 *
 * Payloads are copied in before and out after the call into the core: user
 * space can delay a copy without end, but with no lock held that is its own
 * affair.
 */
#include <linux/file.h>
#include <linux/iommu-uapi.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "vfio_iommu_nesting.h"

static unsigned int pasid_quota = 1000;
module_param(pasid_quota, uint, 0644);
MODULE_PARM_DESC(pasid_quota,
		 "Maximum number of PASIDs that a container may own at a time; containers that exist keep the value they were made with (1000).");

/**
 * vfio_nesting_alloc() - Begin the context of a nesting container
 *
 * Return: the context or an error pointer
 */
struct iommu_uapi_ctx *vfio_nesting_alloc(void)
{
	return iommu_uapi_ctx_alloc(pasid_quota) ?: ERR_PTR(-ENOMEM);
}
EXPORT_SYMBOL_GPL(vfio_nesting_alloc);

/**
 * vfio_nesting_free() - End a context
 * @ctx: the context or NULL; all groups have left it
 */
void vfio_nesting_free(struct iommu_uapi_ctx *ctx)
{
	if (ctx)
		iommu_uapi_ctx_free(ctx);
}
EXPORT_SYMBOL_GPL(vfio_nesting_free);

/**
 * vfio_nesting_domain_alloc() - Allocate the domain of a nesting container
 * @dev: a device of the group that will be attached
 * @data: struct iommu_domain **, set to the domain or an error pointer
 *
 * Return: 1, to end the walk of iommu_group_for_each_dev()
 */
int vfio_nesting_domain_alloc(struct device *dev, void *data)
{
	struct iommu_domain **domain = data;

	*domain = iommu_uapi_alloc_stage2(dev);
	return 1;
}
EXPORT_SYMBOL_GPL(vfio_nesting_domain_alloc);

/**
 * vfio_nesting_attach_group() - A group of hardware has entered the container
 * @ctx: the container's context or NULL
 * @group: the group
 * @stage2: the domain that it is attached to and keeps
 *
 * Return: 0 or an error, upon which the group is not to enter the container
 */
int vfio_nesting_attach_group(struct iommu_uapi_ctx *ctx,
			      struct iommu_group *group,
			      struct iommu_domain *stage2)
{
	return ctx ? iommu_uapi_attach_group(ctx, group, stage2) : 0;
}
EXPORT_SYMBOL_GPL(vfio_nesting_attach_group);

/**
 * vfio_nesting_detach_group() - A group of hardware leaves the container
 * @ctx: the container's context or NULL
 * @group: the group, still attached to its domain
 */
void vfio_nesting_detach_group(struct iommu_uapi_ctx *ctx,
			       struct iommu_group *group)
{
	if (ctx)
		iommu_uapi_detach_group(ctx, group);
}
EXPORT_SYMBOL_GPL(vfio_nesting_detach_group);

/**
 * vfio_nesting_close_device() - A device is closed for the last time
 * @ctx: the container's context or NULL
 * @vdev: the device
 */
void vfio_nesting_close_device(struct iommu_uapi_ctx *ctx,
			       struct vfio_device *vdev)
{
	if (ctx)
		iommu_uapi_close_device(ctx, vdev->dev);
}
EXPORT_SYMBOL_GPL(vfio_nesting_close_device);

/**
 * vfio_nesting_add_cap() - Add what the container can do to VFIO_IOMMU_GET_INFO
 * @ctx: the container's context or NULL
 * @caps: capabilities so far
 *
 * Return: 0, also if there is nothing to add; -ENOMEM
 */
int vfio_nesting_add_cap(struct iommu_uapi_ctx *ctx, struct vfio_info_cap *caps)
{
	struct vfio_iommu_type1_info_cap_nesting *cap;
	struct vfio_info_cap_header *header;
	struct iommu_nesting_info info;

	if (!ctx || iommu_uapi_get_info(ctx, NULL, &info))
		return 0;

	header = vfio_info_cap_add(caps, struct_size(cap, info, sizeof(info)),
				   VFIO_IOMMU_TYPE1_INFO_CAP_NESTING, 1);
	if (IS_ERR(header))
		return PTR_ERR(header);

	cap = container_of(header, struct vfio_iommu_type1_info_cap_nesting,
			   header);
	memcpy(cap->info, &info, sizeof(info));
	return 0;
}
EXPORT_SYMBOL_GPL(vfio_nesting_add_cap);

static int vfio_nesting_pasid_alloc(struct iommu_uapi_ctx *ctx,
				    union iommu_uapi_payload *payload,
				    void __user *data)
{
	struct iommu_pasid_request *req = &payload->pasid;
	int ret;

	ret = iommu_uapi_pasid_alloc(ctx, req);
	if (ret)
		return ret;

	ret = iommu_uapi_copy_to_user(data, IOMMU_UAPI_PASID_ALLOC, payload);
	if (ret) {
		/* User space has not learnt which one it would have to free. */
		req->min = req->pasid;
		req->max = req->pasid;
		iommu_uapi_pasid_free(ctx, req);
	}
	return ret;
}

static int vfio_nesting_invalidate_batch(struct iommu_uapi_ctx *ctx,
					 struct device *dev,
					 union iommu_uapi_payload *payload,
					 void __user *data)
{
	int ret, copied;

	/*
	 * Nothing is done as long as nobody can be told how much. Should the
	 * memory go away later, the zero that was written claims less than was
	 * done, which is safe.
	 */
	ret = iommu_uapi_copy_to_user(data, IOMMU_UAPI_INVALIDATE_BATCH,
				      payload);
	if (ret)
		return ret;

	ret = iommu_uapi_invalidate_batch(ctx, dev, &payload->batch);
	copied = iommu_uapi_copy_to_user(data, IOMMU_UAPI_INVALIDATE_BATCH,
					 payload);
	return ret ?: copied;
}

/* Do @op with the payload in @data, for @dev or, if NULL, all of the container */
static int vfio_nesting_do(struct iommu_uapi_ctx *ctx, struct device *dev,
			   enum iommu_uapi_op op, void __user *data,
			   size_t avail)
{
	union iommu_uapi_payload payload;
	int ret;

	ret = iommu_uapi_copy_from_user(&payload, op, data, avail);
	if (ret)
		return ret;

	switch (op) {
	case IOMMU_UAPI_PASID_ALLOC:
		return vfio_nesting_pasid_alloc(ctx, &payload, data);
	case IOMMU_UAPI_PASID_FREE:
		return iommu_uapi_pasid_free(ctx, &payload.pasid);
	case IOMMU_UAPI_BIND_PGTBL:
		return iommu_uapi_bind_pgtbl(ctx, dev, &payload.bind);
	case IOMMU_UAPI_UNBIND_PGTBL:
		return iommu_uapi_unbind_pgtbl(ctx, dev, &payload.bind);
	case IOMMU_UAPI_BIND_PASID_TABLE:
		return iommu_uapi_bind_pasid_table(ctx, dev, &payload.table);
	case IOMMU_UAPI_UNBIND_PASID_TABLE:
		return iommu_uapi_unbind_pasid_table(ctx, dev, &payload.table);
	case IOMMU_UAPI_INVALIDATE:
		return iommu_uapi_invalidate(ctx, dev, &payload.inv);
	case IOMMU_UAPI_INVALIDATE_BATCH:
		return vfio_nesting_invalidate_batch(ctx, dev, &payload, data);
	default:
		return -EINVAL;
	}
}

/* What the wrappers of all container ioctls begin with */
struct vfio_nesting_header {
	u32 argsz;
	u32 flags;
};

static_assert(offsetof(struct vfio_iommu_type1_pasid_request, data) ==
	      sizeof(struct vfio_nesting_header));
static_assert(offsetof(struct vfio_iommu_type1_bind, data) ==
	      sizeof(struct vfio_nesting_header));
static_assert(offsetof(struct vfio_iommu_type1_cache_invalidate, data) ==
	      sizeof(struct vfio_nesting_header));

/* What user space has been compiled with: it never changes. */
static_assert(offsetof(struct vfio_device_feature_nesting_fault, flags) == 0);
static_assert(offsetof(struct vfio_device_feature_nesting_fault, fd) == 4);
static_assert(sizeof(struct vfio_device_feature_nesting_fault) == 8);
static_assert(offsetof(struct vfio_iommu_type1_info_cap_nesting, header) == 0);
static_assert(offsetof(struct vfio_iommu_type1_info_cap_nesting, flags) == 8);
static_assert(offsetof(struct vfio_iommu_type1_info_cap_nesting, padding) == 12);
static_assert(offsetof(struct vfio_iommu_type1_info_cap_nesting, info) == 16);

/* One row for each operation bit of each ioctl */
static const struct {
	unsigned int cmd;
	u32 flag;
	enum iommu_uapi_op op;
} vfio_nesting_ioctls[] = {
	{ VFIO_IOMMU_CACHE_INVALIDATE, VFIO_IOMMU_CACHE_INVALIDATE_ONE,
	  IOMMU_UAPI_INVALIDATE },
	{ VFIO_IOMMU_CACHE_INVALIDATE, VFIO_IOMMU_CACHE_INVALIDATE_BATCH,
	  IOMMU_UAPI_INVALIDATE_BATCH },
	{ VFIO_IOMMU_BIND, VFIO_IOMMU_BIND_PGTBL,
	  IOMMU_UAPI_BIND_PGTBL },
	{ VFIO_IOMMU_BIND, VFIO_IOMMU_UNBIND_PGTBL,
	  IOMMU_UAPI_UNBIND_PGTBL },
	{ VFIO_IOMMU_BIND, VFIO_IOMMU_BIND_PASID_TABLE,
	  IOMMU_UAPI_BIND_PASID_TABLE },
	{ VFIO_IOMMU_BIND, VFIO_IOMMU_UNBIND_PASID_TABLE,
	  IOMMU_UAPI_UNBIND_PASID_TABLE },
	{ VFIO_IOMMU_PASID_REQUEST, VFIO_IOMMU_PASID_REQUEST_ALLOC,
	  IOMMU_UAPI_PASID_ALLOC },
	{ VFIO_IOMMU_PASID_REQUEST, VFIO_IOMMU_PASID_REQUEST_FREE,
	  IOMMU_UAPI_PASID_FREE },
};

/**
 * vfio_nesting_ioctl() - Serve a container ioctl
 * @ctx: the container's context or NULL
 * @cmd: VFIO_IOMMU_PASID_REQUEST, VFIO_IOMMU_BIND or
 *	VFIO_IOMMU_CACHE_INVALIDATE
 * @arg: the wrapper
 *
 * Return: 0, -EOPNOTSUPP if the container is none for nesting, -EFAULT, -EINVAL
 * for a wrapper with any other than exactly one known operation, or what the
 * core makes of the payload
 */
int vfio_nesting_ioctl(struct iommu_uapi_ctx *ctx, unsigned int cmd,
		       void __user *arg)
{
	struct vfio_nesting_header header;
	int i;

	if (!ctx)
		return -EOPNOTSUPP;
	if (copy_from_user(&header, arg, sizeof(header)))
		return -EFAULT;
	if (header.argsz < sizeof(header))
		return -EINVAL;

	for (i = 0; i < ARRAY_SIZE(vfio_nesting_ioctls); i++) {
		if (vfio_nesting_ioctls[i].cmd == cmd &&
		    vfio_nesting_ioctls[i].flag == header.flags)
			return vfio_nesting_do(ctx, NULL,
					       vfio_nesting_ioctls[i].op,
					       arg + sizeof(header),
					       header.argsz - sizeof(header));
	}
	return -EINVAL;
}
EXPORT_SYMBOL_GPL(vfio_nesting_ioctl);

/*
 * vfio_check_feature(), except that a probe finds only what the device has:
 * @needs is a mask of IOMMU_NESTING_FEAT_*.
 */
static int vfio_nesting_check_feature(struct iommu_uapi_ctx *ctx,
				      struct device *dev, u32 flags,
				      size_t argsz, u32 supported_ops,
				      size_t minsz, u32 needs)
{
	struct iommu_nesting_info info;

	if (flags & VFIO_DEVICE_FEATURE_PROBE &&
	    (iommu_uapi_get_info(ctx, dev, &info) || needs & ~info.features))
		return -ENOTTY;
	return vfio_check_feature(flags, argsz, supported_ops, minsz);
}

static int vfio_nesting_get_info(struct iommu_uapi_ctx *ctx, struct device *dev,
				 u32 flags, void __user *arg, size_t argsz)
{
	struct iommu_nesting_info info;
	int ret;

	ret = vfio_nesting_check_feature(ctx, dev, flags, argsz,
					 VFIO_DEVICE_FEATURE_GET,
					 sizeof(info.argsz), 0);
	if (ret != 1)
		return ret;

	ret = iommu_uapi_get_info(ctx, dev, &info);
	if (ret)
		return ret;
	return iommu_uapi_info_to_user(arg, argsz, &info);
}

/* A device that nothing can be bound to has no faults of a guest. */
static u32 vfio_nesting_fault_needs(struct iommu_uapi_ctx *ctx,
				    struct device *dev)
{
	u32 binds = IOMMU_NESTING_FEAT_BIND_PGTBL |
		    IOMMU_NESTING_FEAT_BIND_PASID_TABLE;
	struct iommu_nesting_info info;

	if (iommu_uapi_get_info(ctx, dev, &info))
		return binds;
	return info.features & binds ?: binds;
}

static int vfio_nesting_get_fault(struct iommu_uapi_ctx *ctx,
				  struct device *dev, u32 flags,
				  void __user *arg, size_t argsz)
{
	struct vfio_device_feature_nesting_fault fault;
	struct file *file;
	int ret;

	ret = vfio_nesting_check_feature(ctx, dev, flags, argsz,
					 VFIO_DEVICE_FEATURE_GET, sizeof(fault),
					 vfio_nesting_fault_needs(ctx, dev));
	if (ret != 1)
		return ret;
	if (copy_from_user(&fault, arg, sizeof(fault)))
		return -EFAULT;
	if (fault.flags)
		return -EINVAL;

	fault.fd = get_unused_fd_flags(O_CLOEXEC);
	if (fault.fd < 0)
		return fault.fd;

	file = iommu_uapi_fault_file(ctx, dev);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto err_put_fd;
	}

	/* Last chance to fail: an installed descriptor cannot be taken back. */
	if (copy_to_user(arg, &fault, sizeof(fault))) {
		ret = -EFAULT;
		goto err_put_file;
	}

	fd_install(fault.fd, file);
	return 0;

err_put_file:
	fput(file);
err_put_fd:
	put_unused_fd(fault.fd);
	return ret;
}

/* One row for each feature that takes a payload */
static const struct {
	u32 feature;
	u32 needs;
	enum iommu_uapi_op op;
} vfio_nesting_features[] = {
	{ VFIO_DEVICE_FEATURE_CACHE_INVALIDATE,
	  IOMMU_NESTING_FEAT_CACHE_INVLD, IOMMU_UAPI_INVALIDATE },
	{ VFIO_DEVICE_FEATURE_CACHE_INVALIDATE_BATCH,
	  IOMMU_NESTING_FEAT_CACHE_INVLD, IOMMU_UAPI_INVALIDATE_BATCH },
	{ VFIO_DEVICE_FEATURE_BIND_PGTBL,
	  IOMMU_NESTING_FEAT_BIND_PGTBL, IOMMU_UAPI_BIND_PGTBL },
	{ VFIO_DEVICE_FEATURE_UNBIND_PGTBL,
	  IOMMU_NESTING_FEAT_BIND_PGTBL, IOMMU_UAPI_UNBIND_PGTBL },
	{ VFIO_DEVICE_FEATURE_BIND_PASID_TABLE,
	  IOMMU_NESTING_FEAT_BIND_PASID_TABLE, IOMMU_UAPI_BIND_PASID_TABLE },
	{ VFIO_DEVICE_FEATURE_UNBIND_PASID_TABLE,
	  IOMMU_NESTING_FEAT_BIND_PASID_TABLE, IOMMU_UAPI_UNBIND_PASID_TABLE },
};

/**
 * vfio_nesting_device_feature() - Serve a feature of one device
 * @ctx: the container's context or NULL
 * @vdev: the device, which is open and in a group of hardware
 * @flags: of struct vfio_device_feature
 * @arg: its data
 * @argsz: bytes there
 *
 * Return: 0; -ENOTTY if there is no such feature, as in all containers of other
 * types, and for a probe what the device's IOMMU cannot do; -EINVAL or -EFAULT
 * for a wrapper that is wrong, or what the core makes of the payload
 */
int vfio_nesting_device_feature(struct iommu_uapi_ctx *ctx,
				struct vfio_device *vdev, u32 flags,
				void __user *arg, size_t argsz)
{
	u32 feature = flags & VFIO_DEVICE_FEATURE_MASK;
	struct device *dev = vdev->dev;
	int i, ret;

	if (!ctx)
		return -ENOTTY;

	if (feature == VFIO_DEVICE_FEATURE_NESTING_INFO)
		return vfio_nesting_get_info(ctx, dev, flags, arg, argsz);
	if (feature == VFIO_DEVICE_FEATURE_NESTING_FAULT)
		return vfio_nesting_get_fault(ctx, dev, flags, arg, argsz);

	for (i = 0; i < ARRAY_SIZE(vfio_nesting_features); i++) {
		if (vfio_nesting_features[i].feature != feature)
			continue;
		/* How much the payload needs is for the core to say. */
		ret = vfio_nesting_check_feature(ctx, dev, flags, argsz,
						 VFIO_DEVICE_FEATURE_SET, 0,
						 vfio_nesting_features[i].needs);
		if (ret != 1)
			return ret;
		return vfio_nesting_do(ctx, dev, vfio_nesting_features[i].op,
				       arg, argsz);
	}
	return -ENOTTY;
}
EXPORT_SYMBOL_GPL(vfio_nesting_device_feature);

MODULE_DESCRIPTION("VFIO type1: guest page tables in nesting containers");
MODULE_LICENSE("GPL");
