// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: guest page tables and guest PASID tables bound to devices
 */
#include <linux/pm_runtime.h>
#include <linux/slab.h>

#include "../iommu-priv.h"
#include "private.h"
#include "trace.h"

/**
 * iommu_uapi_attach_domain() - Attach a nested domain to what a bond names
 * @bond: the bond that &iommu_uapi_ops.bind_pgtbl or .bind_pasid_table was
 *	called with
 * @domain: a nested domain on top of @bond->stage2. If the call succeeds, the
 *	core frees it when the bond ends; if not, it is still the caller's.
 *
 * For vendor drivers whose nested translation is a domain. Page requests that
 * reach the domain go to the device's fault queue. A bond has one domain: a
 * PASID table that is replaced keeps it.
 *
 * Context: from the two operations named above.
 *
 * Return: 0, -EBUSY if the bond has a domain, -EOPNOTSUPP if the device sends
 * no PASIDs and the bond is for one, or what the driver's attach operation says
 */
int iommu_uapi_attach_domain(struct iommu_uapi_bond *bond,
			     struct iommu_domain *domain)
{
	int ret;

	if (WARN_ON(bond->domain))
		return -EBUSY;

	domain->owner = dev_iommu_ops(bond->dev);
	if (bond->page_requests)
		domain->iopf_handler = iommu_uapi_iopf_handler;

	if (bond->pasid == IOMMU_NO_PASID)
		ret = iommu_replace_group_handle(bond->group, domain,
						 &bond->handle);
	else if (!bond->dev->iommu->max_pasids)
		/* Attaching would program nothing, and succeed. */
		ret = -EOPNOTSUPP;
	else
		ret = iommu_attach_device_pasid(domain, bond->dev, bond->pasid,
						&bond->handle);
	if (!ret)
		bond->domain = domain;
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_uapi_attach_domain);

/**
 * iommu_uapi_detach_domain() - Undo iommu_uapi_attach_domain()
 * @bond: the bond
 *
 * Requests without PASID go back to stage 2 alone. Should the driver refuse
 * that, the device is blocked rather than left with the guest's tables.
 *
 * Context: from &iommu_uapi_ops.unbind
 */
void iommu_uapi_detach_domain(struct iommu_uapi_bond *bond)
{
	int ret;

	if (bond->pasid != IOMMU_NO_PASID) {
		iommu_detach_device_pasid(bond->domain, bond->dev, bond->pasid);
		return;
	}

	ret = iommu_replace_group_handle(bond->group, bond->stage2, NULL);
	if (ret) {
		dev_err_ratelimited(bond->dev,
				    "cannot return to stage 2 (%d), blocking DMA\n",
				    ret);
		iommu_detach_group_handle(bond->domain, bond->group);
	}
}
EXPORT_SYMBOL_GPL(iommu_uapi_detach_domain);

static struct iommu_uapi_bond *new_bond(struct iommu_uapi_dev *udev,
					bool dev_scope)
{
	struct iommu_uapi_bond *bond;

	bond = kzalloc(sizeof(*bond), GFP_KERNEL_ACCOUNT);
	if (!bond)
		return NULL;
	bond->udev = udev;
	bond->dev = udev->dev;
	bond->group = udev->group;
	bond->stage2 = udev->stage2;
	bond->dev_scope = dev_scope;
	bond->page_requests = udev->info.features & IOMMU_NESTING_FEAT_PAGE_REQUEST;
	return bond;
}

/* Page requests are on while the device has at least one bond. */
static int page_requests_get(struct iommu_uapi_bond *bond)
{
	struct iommu_uapi_dev *udev = bond->udev;
	int ret = 0;

	if (!udev->nr_bonds && bond->page_requests)
		ret = iommu_dev_enable_feature(udev->dev, IOMMU_DEV_FEAT_IOPF);
	if (!ret)
		udev->nr_bonds++;
	return ret;
}

static void page_requests_put(struct iommu_uapi_bond *bond)
{
	struct iommu_uapi_dev *udev = bond->udev;

	if (!--udev->nr_bonds && bond->page_requests)
		WARN_ON(iommu_dev_disable_feature(udev->dev, IOMMU_DEV_FEAT_IOPF));
}

/* Before the hardware has it, so that invalidations do not miss it */
static int bond_insert(struct iommu_uapi_bond *bond)
{
	struct iommu_uapi_dev *udev = bond->udev;
	int ret = 0;

	if (bond->table)
		WRITE_ONCE(udev->table, bond);
	else
		ret = xa_insert(&udev->bonds, bond->pasid, bond, GFP_KERNEL);
	if (!ret && bond->has_gpasid) {
		ret = xa_insert(&udev->gpasids, bond->gpasid, bond, GFP_KERNEL);
		if (ret)
			xa_erase(&udev->bonds, bond->pasid);
	}
	/* Pairs with the barrier of invalidations, which look without a lock */
	smp_mb();
	return ret;
}

static void bond_erase(struct iommu_uapi_bond *bond)
{
	struct iommu_uapi_dev *udev = bond->udev;

	if (bond->table) {
		WRITE_ONCE(udev->table, NULL);
		return;
	}
	xa_erase(&udev->bonds, bond->pasid);
	if (bond->has_gpasid)
		xa_erase(&udev->gpasids, bond->gpasid);
}

/* What is left to do for a bond that the hardware does not know any more */
static void end_bond(struct iommu_uapi_bond *bond)
{
	iommu_uapi_faults_ignore(bond);
	iommu_uapi_faults_flush(bond);
	bond_erase(bond);
	page_requests_put(bond);
	if (bond->domain)
		iommu_domain_free(bond->domain);
	kfree(bond);
}

/*
 * The order matters: no fault is queued any more, the hardware stops and its
 * page requests are drained, those that user space has not answered are
 * answered, page requests go off, and only then the tables' domain goes. A device
 * that sleeps would take part in none of that.
 */
static void unbind(struct iommu_uapi_bond *bond)
{
	struct iommu_uapi_dev *udev = bond->udev;

	lockdep_assert_held_write(&udev->lock);

	trace_iommu_uapi_unbind(bond);
	pm_runtime_get_sync(udev->dev);
	iommu_uapi_faults_ignore(bond);
	udev->ops->unbind(bond);
	end_bond(bond);
	pm_runtime_put(udev->dev);
}

/**
 * iommu_uapi_unbind_dev() - Unbind what is bound to a device
 * @udev: the device's entry, locked for writing
 * @dev_scope_only: only what was bound through the device
 */
void iommu_uapi_unbind_dev(struct iommu_uapi_dev *udev, bool dev_scope_only)
{
	struct iommu_uapi_bond *bond;
	unsigned long pasid;

	/* Hardware may want the requests without PASID to change last */
	xa_for_each_start(&udev->bonds, pasid, bond, IOMMU_NO_PASID + 1)
		if (!dev_scope_only || bond->dev_scope)
			unbind(bond);
	bond = xa_load(&udev->bonds, IOMMU_NO_PASID);
	if (bond && (!dev_scope_only || bond->dev_scope))
		unbind(bond);
	if (udev->table && (!dev_scope_only || udev->table->dev_scope))
		unbind(udev->table);
}

/**
 * iommu_uapi_unbind_pasid() - Unbind a PASID from all devices of a context
 * @ctx: the context, locked
 * @pasid: PASID that the context owns
 */
void iommu_uapi_unbind_pasid(struct iommu_uapi_ctx *ctx, ioasid_t pasid)
{
	struct iommu_uapi_bond *bond;
	struct iommu_uapi_dev *udev;
	unsigned long index;

	lockdep_assert_held(&ctx->lock);

	xa_for_each(&ctx->devs, index, udev) {
		down_write(&udev->lock);
		bond = xa_load(&udev->bonds, pasid);
		if (bond)
			unbind(bond);
		up_write(&udev->lock);
	}
}

/*
 * A neighbour may still join the group later. Then nothing more is bound, and a
 * bond in place goes on to name the device that was alone, until it is unbound or
 * that device is gone.
 */
static int check_alone(struct iommu_uapi_dev *udev)
{
	if (iommu_uapi_dev_is_alone(udev))
		return 0;
	dev_info_ratelimited(udev->dev,
			     "shares its IOMMU group, cannot bind guest tables\n");
	return -EPERM;
}

/* What both kinds of bind ask of a device */
static int check_device(struct iommu_uapi_dev *udev, u32 feature)
{
	if (udev->gone)
		return -ENODEV;
	if (!udev->ops || !(udev->info.features & feature))
		return -EOPNOTSUPP;
	return check_alone(udev);
}

static int bind_pgtbl_locked(struct iommu_uapi_dev *udev,
			     const struct iommu_gpasid_bind_data *data,
			     bool dev_scope)
{
	struct iommu_uapi_bond *bond;
	int ret;

	ret = check_device(udev, IOMMU_NESTING_FEAT_BIND_PGTBL);
	if (ret)
		return ret;
	if (data->hpasid >= 1ULL << udev->info.pasid_bits)
		return -EINVAL;
	if (udev->table)
		return -EBUSY;

	bond = new_bond(udev, dev_scope);
	if (!bond)
		return -ENOMEM;
	bond->pasid = data->hpasid;
	bond->has_gpasid = data->flags & IOMMU_SVA_GPASID_VAL;
	bond->gpasid = data->gpasid;

	ret = bond_insert(bond);
	if (ret)
		goto err_free;
	ret = page_requests_get(bond);
	if (ret)
		goto err_erase;
	ret = udev->ops->bind_pgtbl(bond, data);
	if (ret) {
		end_bond(bond);
		return ret;
	}

	trace_iommu_uapi_bind_pgtbl(bond, data);
	/* Who has joined the group meanwhile may have been given it, too. */
	ret = check_alone(udev);
	if (ret)
		unbind(bond);
	return ret;

err_erase:
	bond_erase(bond);
err_free:
	kfree(bond);
	return ret;
}

static int bind_pgtbl_one(struct iommu_uapi_dev *udev,
			  const struct iommu_gpasid_bind_data *data,
			  bool dev_scope)
{
	int ret;

	down_write(&udev->lock);
	ret = bind_pgtbl_locked(udev, data, dev_scope);
	up_write(&udev->lock);
	return ret;
}

/* For all devices or none */
static int bind_pgtbl_all(struct iommu_uapi_ctx *ctx,
			  const struct iommu_gpasid_bind_data *data)
{
	struct iommu_uapi_dev *udev;
	unsigned long index, failed;
	int ret = -ENODEV;

	xa_for_each(&ctx->devs, index, udev) {
		ret = bind_pgtbl_one(udev, data, false);
		if (ret)
			break;
	}
	if (!ret)
		return 0;

	failed = index;
	xa_for_each(&ctx->devs, index, udev) {
		if (index == failed)
			break;
		down_write(&udev->lock);
		unbind(xa_load(&udev->bonds, data->hpasid));
		up_write(&udev->lock);
	}
	return ret;
}

/**
 * iommu_uapi_bind_pgtbl() - Bind a guest page table
 * @ctx: the context
 * @dev: a device of it, or NULL for all
 * @data: the table and what to bind it to; has passed the copy step
 *
 * When the call returns 0 the hardware translates in two stages; when it
 * returns an error, nothing has changed on any device.
 *
 * Return:
 * * 0: bound
 * * -ENOENT: @ctx does not own the PASID
 * * -EBUSY: something is bound there, or the guest's number is in use
 * * -EPERM: a device shares its IOMMU group
 * * -EOPNOTSUPP: the hardware does not do it, or not with this device
 * * -EINVAL: the hardware does not do it with these values
 * * -ENODEV: @dev is not, or no longer, in @ctx
 * * -ENOMEM, and what the vendor driver returns
 */
int iommu_uapi_bind_pgtbl(struct iommu_uapi_ctx *ctx, struct device *dev,
			  const struct iommu_gpasid_bind_data *data)
{
	struct iommu_uapi_dev *udev = NULL;
	int ret;

	if (dev) {
		udev = iommu_uapi_dev_get(ctx, dev);
		if (!udev)
			return -ENODEV;
	}

	mutex_lock(&ctx->lock);
	if (!(data->flags & IOMMU_SVA_NO_PASID) &&
	    !xa_load(&ctx->pasids, data->hpasid))
		ret = -ENOENT;
	else if (udev)
		ret = bind_pgtbl_one(udev, data, true);
	else
		ret = bind_pgtbl_all(ctx, data);
	mutex_unlock(&ctx->lock);

	if (udev)
		iommu_uapi_dev_put(udev);
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_uapi_bind_pgtbl);

/* Find a bond by the names that an unbind gives */
static struct iommu_uapi_bond *
find_pgtbl(struct iommu_uapi_dev *udev, const struct iommu_gpasid_bind_data *data)
{
	struct iommu_uapi_bond *bond;

	if (!(data->flags & IOMMU_SVA_GPASID_VAL))
		return xa_load(&udev->bonds, data->hpasid);

	bond = xa_load(&udev->gpasids, data->gpasid);
	if (bond && data->hpasid && data->hpasid != bond->pasid)
		return NULL;
	return bond;
}

static int unbind_pgtbl_one(struct iommu_uapi_dev *udev,
			    const struct iommu_gpasid_bind_data *data)
{
	struct iommu_uapi_bond *bond;

	down_write(&udev->lock);
	bond = find_pgtbl(udev, data);
	if (bond)
		unbind(bond);
	up_write(&udev->lock);
	return bond ? 0 : -ENOENT;
}

/**
 * iommu_uapi_unbind_pgtbl() - Unbind a guest page table
 * @ctx: the context
 * @dev: a device of it, or NULL for all that have the binding
 * @data: names the binding; has passed the copy step
 *
 * On return no device of those asked for translates through the table, and its
 * page requests are answered.
 *
 * Return: 0, -ENOENT if no device has the binding, -ENODEV
 */
int iommu_uapi_unbind_pgtbl(struct iommu_uapi_ctx *ctx, struct device *dev,
			    const struct iommu_gpasid_bind_data *data)
{
	struct iommu_uapi_dev *udev;
	unsigned long index;
	int ret = -ENOENT;

	if (dev) {
		udev = iommu_uapi_dev_get(ctx, dev);
		if (!udev)
			return -ENODEV;
		mutex_lock(&ctx->lock);
		ret = unbind_pgtbl_one(udev, data);
		mutex_unlock(&ctx->lock);
		iommu_uapi_dev_put(udev);
		return ret;
	}

	mutex_lock(&ctx->lock);
	xa_for_each(&ctx->devs, index, udev)
		if (!unbind_pgtbl_one(udev, data))
			ret = 0;
	mutex_unlock(&ctx->lock);
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_uapi_unbind_pgtbl);

static int bind_table_new(struct iommu_uapi_dev *udev,
			  const struct iommu_pasid_table_config *cfg,
			  bool dev_scope)
{
	struct iommu_uapi_bond *bond;
	int ret;

	bond = new_bond(udev, dev_scope);
	if (!bond)
		return -ENOMEM;
	bond->table = true;
	bond->pasid = IOMMU_NO_PASID;

	ret = page_requests_get(bond);
	if (ret) {
		kfree(bond);
		return ret;
	}
	bond_insert(bond);
	ret = udev->ops->bind_pasid_table(bond, cfg);
	if (ret) {
		end_bond(bond);
		return ret;
	}

	udev->cfg = *cfg;
	return 0;
}

static int bind_table_locked(struct iommu_uapi_dev *udev,
			     const struct iommu_pasid_table_config *cfg,
			     bool dev_scope)
{
	struct iommu_uapi_bond *bond = udev->table;
	int ret;

	ret = check_device(udev, IOMMU_NESTING_FEAT_BIND_PASID_TABLE);
	if (ret)
		return ret;
	if (cfg->config == IOMMU_PASID_CONFIG_TRANSLATE &&
	    cfg->pasid_bits > udev->info.pasid_bits)
		return -EINVAL;
	if (!xa_empty(&udev->bonds))
		return -EBUSY;

	if (!bond) {
		ret = bind_table_new(udev, cfg, dev_scope);
	} else {
		ret = udev->ops->bind_pasid_table(bond, cfg);
		if (!ret) {
			udev->old_cfg = udev->cfg;
			udev->cfg = *cfg;
			udev->old_dev_scope = bond->dev_scope;
			bond->dev_scope = dev_scope;
			udev->replaced = true;
		}
	}
	if (!ret)
		trace_iommu_uapi_bind_pasid_table(udev->table, cfg);
	return ret;
}

static int bind_table_one(struct iommu_uapi_dev *udev,
			  const struct iommu_pasid_table_config *cfg,
			  bool dev_scope)
{
	int ret;

	down_write(&udev->lock);
	ret = bind_table_locked(udev, cfg, dev_scope);
	up_write(&udev->lock);
	return ret;
}

/* Go back to what was there before a container's bind failed half-way. */
static void bind_table_undo(struct iommu_uapi_dev *udev)
{
	const struct iommu_uapi_ops *ops = udev->ops;
	struct iommu_pasid_table_config cfg;
	struct iommu_uapi_bond *bond;
	int ret;

	down_write(&udev->lock);
	bond = udev->table;
	if (!udev->replaced) {
		unbind(bond);
		goto out_unlock;
	}

	cfg = udev->old_cfg;
	bond->dev_scope = udev->old_dev_scope;
	ret = ops->bind_pasid_table(bond, &cfg);
	if (ret) {
		/* Neither the new nor the old one: rather none at all */
		cfg.config = IOMMU_PASID_CONFIG_ABORT;
		ret = ops->bind_pasid_table(bond, &cfg);
		dev_err_ratelimited(udev->dev,
				    "cannot restore PASID table, %s\n",
				    ret ? "the new one stays" : "aborting DMA");
	}
	if (!ret)
		udev->cfg = cfg;
out_unlock:
	up_write(&udev->lock);
}

/* For all devices or none */
static int bind_table_all(struct iommu_uapi_ctx *ctx,
			  const struct iommu_pasid_table_config *cfg)
{
	struct iommu_uapi_dev *udev;
	unsigned long index, failed;
	int ret = -ENODEV;

	xa_for_each(&ctx->devs, index, udev) {
		udev->replaced = false;
		ret = bind_table_one(udev, cfg, false);
		if (ret)
			break;
	}
	if (!ret)
		return 0;

	failed = index;
	xa_for_each(&ctx->devs, index, udev) {
		if (index == failed)
			break;
		bind_table_undo(udev);
	}
	return ret;
}

/**
 * iommu_uapi_bind_pasid_table() - Bind a guest PASID table, or replace it
 * @ctx: the context
 * @dev: a device of it, or NULL for all
 * @cfg: the table; has passed the copy step
 *
 * A device that has a guest PASID table changes to the new configuration in one
 * step. When the call returns an error, nothing has changed on any device, unless
 * one that had changed before another failed refuses to change back.
 *
 * Return: 0, -EBUSY if a guest page table is bound, else as
 * iommu_uapi_bind_pgtbl()
 */
int iommu_uapi_bind_pasid_table(struct iommu_uapi_ctx *ctx, struct device *dev,
				const struct iommu_pasid_table_config *cfg)
{
	struct iommu_uapi_dev *udev;
	int ret;

	if (!dev) {
		mutex_lock(&ctx->lock);
		ret = bind_table_all(ctx, cfg);
		mutex_unlock(&ctx->lock);
		return ret;
	}

	udev = iommu_uapi_dev_get(ctx, dev);
	if (!udev)
		return -ENODEV;
	mutex_lock(&ctx->lock);
	ret = bind_table_one(udev, cfg, true);
	mutex_unlock(&ctx->lock);
	iommu_uapi_dev_put(udev);
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_uapi_bind_pasid_table);

static int unbind_table_one(struct iommu_uapi_dev *udev)
{
	struct iommu_uapi_bond *bond;

	down_write(&udev->lock);
	bond = udev->table;
	if (bond)
		unbind(bond);
	up_write(&udev->lock);
	return bond ? 0 : -ENOENT;
}

/**
 * iommu_uapi_unbind_pasid_table() - Unbind a guest PASID table
 * @ctx: the context
 * @dev: a device of it, or NULL for all that have a table
 * @cfg: has passed the copy step; there is nothing to select by
 *
 * On return the devices translate by stage 2 alone.
 *
 * Return: 0, -ENOENT if no device has a table, -ENODEV
 */
int iommu_uapi_unbind_pasid_table(struct iommu_uapi_ctx *ctx,
				  struct device *dev,
				  const struct iommu_pasid_table_config *cfg)
{
	struct iommu_uapi_dev *udev;
	unsigned long index;
	int ret = -ENOENT;

	if (dev) {
		udev = iommu_uapi_dev_get(ctx, dev);
		if (!udev)
			return -ENODEV;
		mutex_lock(&ctx->lock);
		ret = unbind_table_one(udev);
		mutex_unlock(&ctx->lock);
		iommu_uapi_dev_put(udev);
		return ret;
	}

	mutex_lock(&ctx->lock);
	xa_for_each(&ctx->devs, index, udev)
		if (!unbind_table_one(udev))
			ret = 0;
	mutex_unlock(&ctx->lock);
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_uapi_unbind_pasid_table);
