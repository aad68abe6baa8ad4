// SPDX-License-Identifier: GPL-2.0-only
/*
 * What checks/iommu-uapi.cocci must report, line by line, and what it must let
 * pass. Never compiled: scripts/static.sh compares the reports with the marks.
 */

static int bad_copies(struct ctx *ctx, void __user *arg)
{
	struct iommu_gpasid_bind_data bind;
	u32 argsz;
	void *p;

	if (get_user(argsz, (u32 __user *)arg))			/* BAD */
		return -EFAULT;
	if (copy_from_user(&bind, arg, sizeof(bind)))		/* BAD */
		return -EFAULT;
	if (copy_struct_from_user(&bind, sizeof(bind), arg, argsz)) /* BAD */
		return -EFAULT;
	p = memdup_user(arg, argsz);				/* BAD */
	return PTR_ERR_OR_ZERO(p);
}

static int good_wrapper(struct ctx *ctx, void __user *arg)
{
	struct vfio_iommu_bind hdr;

	if (copy_from_user(&hdr, arg, sizeof(hdr)))
		return -EFAULT;
	return copy_to_user(arg, &hdr, sizeof(hdr)) ? -EFAULT : 0;
}

static int bad_payload_after_wrapper(struct ctx *ctx, void __user *arg)
{
	struct vfio_iommu_bind hdr;
	struct iommu_cache_invalidate_info inv;

	if (copy_from_user(&hdr, arg, sizeof(hdr)))
		return -EFAULT;
	if (copy_from_user(&inv, arg + sizeof(hdr), sizeof(inv))) /* BAD */
		return -EFAULT;
	return 0;
}

static void bad_dropped(struct bond *bond)
{
	iommu_uapi_invalidate(bond->ctx, bond->dev, bond->inv);	/* BAD */
	bond->ops->invalidate(bond, bond->inv);			/* BAD */
	(void)iommu_uapi_invalidate_batch(bond->ctx, NULL);	/* BAD */
	if (bond->dead)
		bond->ops->invalidate(bond, NULL);		/* BAD */
}

static int bad_unread(struct bond *bond)
{
	int ret;

	ret = bond->ops->invalidate(bond, bond->inv);		/* BAD */
	bond->done = true;
	return 0;
}

static int bad_queue(struct intel_iommu *iommu, struct qi_desc *desc)
{
	qi_submit_sync(iommu, desc, 1, 0);			/* BAD */
	return 0;
}

static void bad_helpers(struct arm_smmu_master *master, struct state *to)
{
	arm_smmu_uapi_issue(&req, arm_smmu_uapi_emit_ste);	/* BAD */
	arm_smmu_uapi_inv_atc(&req);				/* BAD */
	arm_smmu_uapi_inv_atc_once(&req);			/* BAD */
	arm_smmu_uapi_inv_guests_atc(&req, stage2);		/* BAD */
	(void)arm_smmu_uapi_flush(master, vmid);		/* BAD */
	arm_smmu_uapi_install(master, stage2, to, to);		/* BAD */
	arm_smmu_atc_inv_domain(stage2, 0, 0);			/* BAD */
	arm_smmu_atc_inv_master(master, 0);			/* BAD */
}

static int bad_helpers_overwritten(struct arm_smmu_master *master)
{
	int ret;

	ret = arm_smmu_uapi_issue(&req, arm_smmu_uapi_emit_ste); /* BAD */
	ret = arm_smmu_uapi_issue(&req, arm_smmu_uapi_emit_cd);
	return ret;
}

static int bad_undo(struct arm_smmu_master *master, struct state *to)
{
	int ret;

	ret = arm_smmu_uapi_install(master, stage2, from, to);
	if (ret) {
		arm_smmu_uapi_install(master, stage2, to, from); /* BAD */
		return 0;
	}
	ret = arm_smmu_uapi_install(master, stage2, from, to);
	if (ret) {
		arm_smmu_uapi_install(master, stage2, to, from); /* BAD */
		ret = 0;
		return ret;
	}
	ret = arm_smmu_uapi_install(master, stage2, from, to);
	if (ret) {
		arm_smmu_uapi_flush(master, vmid);		/* BAD */
		return ret;
	}
	return 0;
}

static int bad_overwritten(struct bond *bond)
{
	int ret;

	ret = iommu_uapi_invalidate(bond->ctx, NULL, NULL);	/* BAD */
	ret = iommu_uapi_unbind(bond);
	return ret;
}

static int good_results(struct bond *bond)
{
	int ret;

	ret = bond->ops->invalidate(bond, bond->inv);
	if (ret)
		return ret;
	if (iommu_uapi_invalidate(bond->ctx, NULL, NULL))
		return -EIO;
	return iommu_uapi_invalidate_batch(bond->ctx, NULL);
}

static int good_undo(struct arm_smmu_master *master, struct state *to)
{
	int ret, err;

	ret = arm_smmu_uapi_issue(&req, arm_smmu_uapi_emit_ste);
	err = arm_smmu_uapi_issue(&req, arm_smmu_uapi_emit_cd);
	ret = ret ?: err;
	if (ret)
		return ret;
	ret = arm_smmu_uapi_install(master, stage2, from, to);
	if (ret) {
		arm_smmu_uapi_install(master, stage2, to, from);
		if (old)
			*state = *from;
		else
			master->evt_left = true;
		return ret;
	}
	arm_smmu_uapi_inv_atc_stage2(stage2, 0, 0);
	return 0;
}

static void mock_invalidate_all(struct mock *mock)
{
	mock->entries = 0;
}

static void good_void(struct mock *mock)
{
	mock_invalidate_all(mock);
}
