// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: contexts and the devices in them
 */
#include <linux/list.h>
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "../iommu-priv.h"
#include "private.h"

static DEFINE_MUTEX(all_devs_lock);
static LIST_HEAD(all_devs);

static void ctx_release(struct kref *ref)
{
	struct iommu_uapi_ctx *ctx =
		container_of(ref, struct iommu_uapi_ctx, ref);

	mutex_destroy(&ctx->lock);
	kfree(ctx);
}

/**
 * iommu_uapi_alloc_stage2() - Allocate the domain of a nesting container
 * @dev: a device with an IOMMU
 *
 * Returns a domain that can be the parent of nested domains where the IOMMU has
 * those, and otherwise what a nesting container has always got: a paging domain
 * with iommu_enable_nesting(). May be called with the group's mutex held.
 *
 * Return: the domain, to be freed with iommu_domain_free(), or an error pointer
 */
struct iommu_domain *iommu_uapi_alloc_stage2(struct device *dev)
{
	const struct iommu_ops *ops;
	struct iommu_domain *domain;
	int ret;

	if (!device_iommu_mapped(dev) || !dev->iommu || !dev->iommu->iommu_dev)
		return ERR_PTR(-ENODEV);

	ops = dev_iommu_ops(dev);
	if (ops->domain_alloc_user) {
		domain = ops->domain_alloc_user(dev, IOMMU_HWPT_ALLOC_NEST_PARENT,
						NULL, NULL);
		if (!IS_ERR(domain))
			domain->owner = ops;
		if (!IS_ERR(domain) || PTR_ERR(domain) != -EOPNOTSUPP)
			return domain;
	}

	domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(domain))
		return domain;
	ret = iommu_enable_nesting(domain);
	if (ret) {
		iommu_domain_free(domain);
		return ERR_PTR(ret);
	}
	return domain;
}
EXPORT_SYMBOL_GPL(iommu_uapi_alloc_stage2);

static void dev_release(struct kref *ref)
{
	struct iommu_uapi_dev *udev =
		container_of(ref, struct iommu_uapi_dev, ref);

	xa_destroy(&udev->bonds);
	xa_destroy(&udev->gpasids);
	put_device(udev->dev);
	iommu_group_put(udev->group);
	kref_put(&udev->ctx->ref, ctx_release);
	kfree_rcu(udev, rcu);
}

/**
 * iommu_uapi_dev_put() - Drop a reference
 * @udev: from iommu_uapi_dev_get() or iommu_uapi_dev_next()
 */
void iommu_uapi_dev_put(struct iommu_uapi_dev *udev)
{
	kref_put(&udev->ref, dev_release);
}

/**
 * iommu_uapi_dev_get() - Find a device of a context
 * @ctx: the context
 * @dev: the device; the caller makes sure that it stays in its group
 *
 * Return: the entry of its group, with a reference; NULL if the group is not in
 * the context. The entry may be gone by the time that its lock is taken.
 */
struct iommu_uapi_dev *iommu_uapi_dev_get(struct iommu_uapi_ctx *ctx,
					  struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);
	struct iommu_uapi_dev *udev;

	if (!group)
		return NULL;

	rcu_read_lock();
	udev = xa_load(&ctx->devs, iommu_group_id(group));
	if (udev && !kref_get_unless_zero(&udev->ref))
		udev = NULL;
	rcu_read_unlock();

	iommu_group_put(group);
	return udev;
}

/**
 * iommu_uapi_dev_next() - Walk the devices of a context without its lock
 * @ctx: the context
 * @index: zero to begin with; where to go on
 *
 * Return: the next entry, with a reference; NULL at the end
 */
struct iommu_uapi_dev *iommu_uapi_dev_next(struct iommu_uapi_ctx *ctx,
					   unsigned long *index)
{
	struct iommu_uapi_dev *udev;

	rcu_read_lock();
	udev = xa_find(&ctx->devs, index, ULONG_MAX, XA_PRESENT);
	while (udev && !kref_get_unless_zero(&udev->ref))
		udev = xa_find_after(&ctx->devs, index, ULONG_MAX, XA_PRESENT);
	rcu_read_unlock();

	(*index)++;
	return udev;
}

static int other_device(struct device *dev, void *data)
{
	return dev != data;
}

/**
 * iommu_uapi_dev_is_alone() - Check that a device shares its group with no other
 * @udev: the device's entry, attached
 *
 * Translation is attached to whole groups, so a device with neighbours cannot
 * have tables of its own. Neighbours may come and go.
 *
 * Context: takes the lock of the group, under which the IOMMU core gives a device
 * that joins the group's domain, and takes it from one that leaves
 *
 * Return: whether it is alone now
 */
bool iommu_uapi_dev_is_alone(struct iommu_uapi_dev *udev)
{
	return !iommu_group_for_each_dev(udev->group, udev->dev, other_device);
}

/**
 * iommu_uapi_ctx_alloc() - Begin a context
 * @pasid_quota: number of PASIDs that it may own at a time
 *
 * Return: the context, to be freed with iommu_uapi_ctx_free(), or NULL
 */
struct iommu_uapi_ctx *iommu_uapi_ctx_alloc(unsigned int pasid_quota)
{
	struct iommu_uapi_ctx *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL_ACCOUNT);

	if (!ctx)
		return NULL;

	kref_init(&ctx->ref);
	mutex_init(&ctx->lock);
	xa_init_flags(&ctx->devs, XA_FLAGS_ACCOUNT);
	xa_init_flags(&ctx->pasids, XA_FLAGS_ACCOUNT);
	ctx->pasid_quota = pasid_quota;
	return ctx;
}
EXPORT_SYMBOL_GPL(iommu_uapi_ctx_alloc);

/*
 * Under the group's lock, the device does not part from its IOMMU driver. One that
 * does so later is not alone in its group, and nothing is ever bound on it.
 */
static int set_device(struct device *dev, void *data)
{
	struct iommu_uapi_dev *udev = data;

	if (!dev->iommu || !dev->iommu->iommu_dev)
		return -ENODEV;
	udev->dev = get_device(dev);
	iommu_uapi_dev_init_info(udev);
	return 1;
}

/**
 * iommu_uapi_attach_group() - Add an IOMMU group to a context
 * @ctx: the context
 * @group: the group, which the caller owns (iommu_group_claim_dma_owner()) and
 *	has attached to @stage2
 * @stage2: domain from iommu_uapi_alloc_stage2()
 *
 * The group begins with no guest tables, whatever other groups of the context
 * have bound. Whether it has nested translation at all makes no difference to
 * the success of the call.
 *
 * Return: 0, -ENODEV for a group without devices, -ENOMEM
 */
int iommu_uapi_attach_group(struct iommu_uapi_ctx *ctx,
			    struct iommu_group *group,
			    struct iommu_domain *stage2)
{
	struct iommu_uapi_dev *udev;
	int ret;

	udev = kzalloc(sizeof(*udev), GFP_KERNEL_ACCOUNT);
	if (!udev)
		return -ENOMEM;

	kref_init(&udev->ref);
	kref_get(&ctx->ref);
	udev->ctx = ctx;
	init_rwsem(&udev->lock);
	raw_spin_lock_init(&udev->fault_lock);
	xa_init_flags(&udev->bonds, XA_FLAGS_ACCOUNT);
	xa_init_flags(&udev->gpasids, XA_FLAGS_ACCOUNT);
	udev->group = iommu_group_ref_get(group);
	udev->stage2 = stage2;

	ret = -ENODEV;
	if (iommu_group_for_each_dev(group, udev, set_device) != 1)
		goto err_put;

	mutex_lock(&ctx->lock);
	ret = xa_insert(&ctx->devs, iommu_group_id(group), udev, GFP_KERNEL);
	if (!ret) {
		mutex_lock(&all_devs_lock);
		list_add(&udev->list, &all_devs);
		mutex_unlock(&all_devs_lock);
	}
	mutex_unlock(&ctx->lock);
	if (ret)
		goto err_put;
	return 0;

err_put:
	iommu_uapi_dev_put(udev);
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_uapi_attach_group);

static void end_dev(struct iommu_uapi_dev *udev)
{
	lockdep_assert_held(&udev->ctx->lock);

	down_write(&udev->lock);
	iommu_uapi_unbind_dev(udev, false);
	iommu_uapi_faults_disconnect(udev);
	udev->gone = true;
	up_write(&udev->lock);
}

static void detach_dev(struct iommu_uapi_ctx *ctx, struct iommu_uapi_dev *udev)
{
	end_dev(udev);

	/* Who has found it before waits for ctx->lock and has nothing to do then. */
	mutex_lock(&all_devs_lock);
	list_del(&udev->list);
	mutex_unlock(&all_devs_lock);

	/* Only now: as long as something is bound, invalidations must see it. */
	xa_erase(&ctx->devs, iommu_group_id(udev->group));
	iommu_uapi_dev_put(udev);

	/* A call that is still under way can keep the context for long. */
	if (xa_empty(&ctx->devs))
		iommu_uapi_free_all_pasids(ctx);
}

/**
 * iommu_uapi_detach_group() - Take an IOMMU group out of a context
 * @ctx: the context
 * @group: the group, still attached to its stage 2
 *
 * On return the devices of the group translate by stage 2 alone, all page
 * requests are answered, and fault file descriptors are at their end. With the
 * last group the PASIDs of the context are freed. Does nothing if the group is
 * not in the context.
 */
void iommu_uapi_detach_group(struct iommu_uapi_ctx *ctx,
			     struct iommu_group *group)
{
	struct iommu_uapi_dev *udev;

	mutex_lock(&ctx->lock);
	udev = xa_load(&ctx->devs, iommu_group_id(group));
	if (udev)
		detach_dev(ctx, udev);
	mutex_unlock(&ctx->lock);
}
EXPORT_SYMBOL_GPL(iommu_uapi_detach_group);

/**
 * iommu_uapi_ctx_free() - End a context
 * @ctx: the context; nobody else uses it any more
 *
 * Detaches the groups that are left.
 */
void iommu_uapi_ctx_free(struct iommu_uapi_ctx *ctx)
{
	struct iommu_uapi_dev *udev;
	unsigned long index;

	mutex_lock(&ctx->lock);
	xa_for_each(&ctx->devs, index, udev)
		detach_dev(ctx, udev);
	mutex_unlock(&ctx->lock);

	xa_destroy(&ctx->pasids);
	xa_destroy(&ctx->devs);
	kref_put(&ctx->ref, ctx_release);
}
EXPORT_SYMBOL_GPL(iommu_uapi_ctx_free);

/**
 * iommu_uapi_close_device() - The last user of a device has closed it
 * @ctx: the context
 * @dev: the device, of a group in @ctx
 *
 * Ends what belongs to the open device: what was bound through it, and its
 * fault file descriptor. Bindings of the whole context stay.
 */
void iommu_uapi_close_device(struct iommu_uapi_ctx *ctx, struct device *dev)
{
	struct iommu_uapi_dev *udev = iommu_uapi_dev_get(ctx, dev);

	if (!udev)
		return;

	mutex_lock(&ctx->lock);
	down_write(&udev->lock);
	if (!udev->gone && udev->dev == dev) {
		iommu_uapi_unbind_dev(udev, true);
		iommu_uapi_faults_disconnect(udev);
	}
	up_write(&udev->lock);
	mutex_unlock(&ctx->lock);

	iommu_uapi_dev_put(udev);
}
EXPORT_SYMBOL_GPL(iommu_uapi_close_device);

/* The entry that names @dev, of whatever context, with a reference; or NULL */
static struct iommu_uapi_dev *find_dev(struct device *dev)
{
	struct iommu_uapi_dev *udev, *found = NULL;

	mutex_lock(&all_devs_lock);
	list_for_each_entry(udev, &all_devs, list) {
		if (udev->dev == dev) {
			kref_get(&udev->ref);
			found = udev;
			break;
		}
	}
	mutex_unlock(&all_devs_lock);
	return found;
}

/**
 * iommu_uapi_release_device() - A device leaves the machine
 * @dev: the device; its driver is unbound, and it is still in its group
 *
 * A group may go on to exist, and with it what a container has, because of a
 * neighbour that has come after something was bound to the device. The IOMMU
 * driver is about to forget the device, so what is bound to it ends here.
 *
 * Context: the IOMMU core, before it takes the device out of its group
 */
void iommu_uapi_release_device(struct device *dev)
{
	struct iommu_uapi_dev *udev = find_dev(dev);

	if (!udev)
		return;

	mutex_lock(&udev->ctx->lock);
	end_dev(udev);
	mutex_unlock(&udev->ctx->lock);

	iommu_uapi_dev_put(udev);
}
