// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mock hardware of the IOMMU user API: what the API asks of a vendor driver
 */
#include <linux/log2.h>

#include "mock.h"

static bool is_nest_parent(struct iommu_domain *domain)
{
	return domain->ops == &mock_stage2_ops && to_stage2(domain)->nest_parent;
}

static int mock_info(struct device *dev, struct iommu_domain *stage2,
		     struct iommu_nesting_info *info)
{
	struct mock_client *client = mock_client_of(dev);
	u32 features = mock_features_of(client);

	if (!features || !is_nest_parent(stage2))
		return -EOPNOTSUPP;

	info->features = features;
	info->pasid_bits = MOCK_PASID_BITS;
	if (features & IOMMU_NESTING_FEAT_CACHE_INVLD) {
		info->caches = BIT(IOMMU_CACHE_INV_TYPE_NR) - 1;
		info->granularities = BIT(IOMMU_INV_GRANU_NR) - 1;
	}

	if (mock_style_of(client) == MOCK_STYLE_VTD) {
		info->format = IOMMU_PASID_FORMAT_INTEL_VTD;
		info->addr_width = 57;
		info->vendor.vtd.flags = IOMMU_NESTING_INFO_VTD_VALID;
		info->vendor.vtd.cap = MOCK_VTD_CAP;
		info->vendor.vtd.ecap = mock_vtd_ecap(client);
		return 0;
	}

	info->format = IOMMU_PASID_FORMAT_ARM_SMMUV3;
	info->addr_width = 48;
	info->vendor.smmuv3.flags = IOMMU_NESTING_INFO_SMMUV3_VALID;
	info->vendor.smmuv3.idr[0] = MOCK_SMMUV3_IDR0;
	if (!(features & IOMMU_NESTING_FEAT_PAGE_REQUEST))
		info->vendor.smmuv3.idr[0] &= ~MOCK_SMMUV3_IDR0_PRI;
	info->vendor.smmuv3.idr[1] = MOCK_SMMUV3_IDR1;
	info->vendor.smmuv3.idr[5] = MOCK_SMMUV3_IDR5;
	return 0;
}

/* Attach stage 1 to what the bond names. Takes over @nested. */
static int attach(struct mock_client *client, struct iommu_uapi_bond *bond,
		  struct mock_nested *nested)
{
	int ret;

	nested->bond = bond;
	ret = iommu_uapi_attach_domain(bond, &nested->domain);
	if (ret) {
		iommu_domain_free(&nested->domain);
		return ret;
	}
	bond->priv = nested;
	atomic_inc(&client->nr_bonds);
	mock_bind_held(client);
	return 0;
}

static int mock_bind_pgtbl(struct iommu_uapi_bond *bond,
			   const struct iommu_gpasid_bind_data *data)
{
	struct mock_client *client = mock_client_of(bond->dev);
	struct mock_nested *nested;

	if (!(mock_features_of(client) & IOMMU_NESTING_FEAT_BIND_PGTBL) ||
	    !is_nest_parent(bond->stage2))
		return -EOPNOTSUPP;
	if ((data->addr_width != 48 && data->addr_width != 57) ||
	    data->gpgd >> MOCK_GPA_BITS)
		return -EINVAL;
	if (mock_injected(client, MOCK_INJECT_BIND_ERROR))
		return -EIO;

	nested = mock_nested_alloc(bond->stage2);
	if (!nested)
		return -ENOMEM;
	nested->vtd = (struct mock_vtd_table) {
		.root = data->gpgd,
		.levels = data->addr_width == 57 ? 5 : 4,
		.sre = data->vendor.vtd.flags & IOMMU_SVA_VTD_GPASID_SRE,
		.eafe = data->vendor.vtd.flags & IOMMU_SVA_VTD_GPASID_EAFE,
		.wpe = data->vendor.vtd.flags & IOMMU_SVA_VTD_GPASID_WPE,
	};
	return attach(client, bond, nested);
}

/* SMMUv3 section 5.2: the first level of two is aligned to its size. */
static u64 table_alignment(const struct iommu_pasid_table_config *cfg)
{
	unsigned int split = cfg->vendor.smmuv3.s1fmt ==
			     IOMMU_PASID_SMMUV3_S1FMT_4K_L2 ? 6 : 10;

	if (cfg->vendor.smmuv3.s1fmt == IOMMU_PASID_SMMUV3_S1FMT_LINEAR ||
	    cfg->pasid_bits <= split)
		return SZ_64;
	return max(8ULL << (cfg->pasid_bits - split), (u64)SZ_64);
}

static int check_table(const struct iommu_pasid_table_config *cfg)
{
	if (cfg->config != IOMMU_PASID_CONFIG_TRANSLATE)
		return 0;
	if (cfg->pasid_bits > MOCK_PASID_BITS ||
	    cfg->base_ptr >> MOCK_GPA_BITS ||
	    !IS_ALIGNED(cfg->base_ptr, table_alignment(cfg)))
		return -EINVAL;
	return 0;
}

static void set_table(struct mock_nested *nested,
		      const struct iommu_pasid_table_config *cfg)
{
	/* A guest that does not know of the device's TLB leaves it stale. */
	nested->ats = cfg->flags & IOMMU_PASID_TABLE_DEVTLB;
	nested->config = cfg->config;
	nested->cds = (struct mock_cd_table) {
		.base = cfg->base_ptr,
		.s1fmt = cfg->vendor.smmuv3.s1fmt,
		.s1dss = cfg->vendor.smmuv3.s1dss,
		.bits = cfg->pasid_bits,
	};
}

static int mock_bind_pasid_table(struct iommu_uapi_bond *bond,
				 const struct iommu_pasid_table_config *cfg)
{
	struct mock_client *client = mock_client_of(bond->dev);
	struct mock_nested *nested = bond->priv;
	int ret;

	if (!(mock_features_of(client) & IOMMU_NESTING_FEAT_BIND_PASID_TABLE) ||
	    !is_nest_parent(bond->stage2))
		return -EOPNOTSUPP;
	ret = check_table(cfg);
	if (ret)
		return ret;
	if (mock_injected(client, MOCK_INJECT_BIND_ERROR))
		return -EIO;

	if (nested) {
		/* No request sees half of it, or what the old one has cached. */
		down_write(&client->lock);
		set_table(nested, cfg);
		mock_flush(client, nested);
		up_write(&client->lock);
		mock_bind_held(client);
		return 0;
	}

	nested = mock_nested_alloc(bond->stage2);
	if (!nested)
		return -ENOMEM;
	set_table(nested, cfg);
	return attach(client, bond, nested);
}

static void mock_unbind(struct iommu_uapi_bond *bond)
{
	struct mock_client *client = mock_client_of(bond->dev);

	iommu_uapi_detach_domain(bond);
	bond->priv = NULL;
	atomic_dec(&client->nr_bonds);
}

/* The caches' common selectors, out of whichever form the request has */
struct inv {
	bool by_pasid;		/* with or, if not has_pasid, without PASID */
	bool has_pasid;
	u32 pasid;
	bool by_asid;
	u32 asid;
	bool leaf;		/* tables above pages have not changed */
	u64 first;
	u64 last;
};

static void decode_inv(const struct iommu_cache_invalidate_info *info,
		       struct inv *inv)
{
	const struct iommu_inv_pasid_info *pasid = &info->granu.pasid_info;
	const struct iommu_inv_addr_info *addr = &info->granu.addr_info;

	*inv = (struct inv) { .last = U64_MAX };
	switch (info->granularity) {
	case IOMMU_INV_GRANU_PASID:
		inv->has_pasid = pasid->flags & IOMMU_INV_PASID_FLAGS_PASID;
		inv->by_pasid = inv->has_pasid ||
				pasid->flags & IOMMU_INV_PASID_FLAGS_NO_PASID;
		inv->pasid = inv->has_pasid ? pasid->pasid : 0;
		inv->by_asid = pasid->flags & IOMMU_INV_PASID_FLAGS_ARCHID;
		inv->asid = pasid->archid;
		break;
	case IOMMU_INV_GRANU_ADDR:
		inv->has_pasid = addr->flags & IOMMU_INV_ADDR_FLAGS_PASID;
		inv->by_pasid = inv->has_pasid ||
				addr->flags & IOMMU_INV_ADDR_FLAGS_NO_PASID;
		inv->pasid = inv->has_pasid ? addr->pasid : 0;
		inv->by_asid = addr->flags & IOMMU_INV_ADDR_FLAGS_ARCHID;
		inv->asid = addr->archid;
		inv->leaf = addr->flags & IOMMU_INV_ADDR_FLAGS_LEAF;
		inv->first = addr->addr;
		inv->last = addr->addr +
			    (addr->granule_size * addr->nb_granules - 1);
		break;
	}
}

/* What the IOMMU looks at: the ASID where one is given, as SMMUv3 does */
static void select_iotlb(const struct inv *inv, struct mock_select *select)
{
	if (inv->by_asid) {
		select->by_asid = true;
		select->asid = inv->asid;
		return;
	}
	select->by_pasid = inv->by_pasid;
	select->has_pasid = inv->has_pasid;
	select->pasid = inv->pasid;
}

/* What the device looks at: it knows its PASIDs, but no ASIDs */
static void select_devtlb(const struct inv *inv, struct mock_select *select)
{
	select->by_pasid = inv->by_pasid;
	select->has_pasid = inv->has_pasid;
	select->pasid = inv->pasid;
}

/* Context descriptors: by their number where it is given, else by their tag */
static void select_cds(const struct inv *inv, struct mock_select *select)
{
	select->by_pasid = inv->by_pasid;
	select->pasid = inv->pasid;
	select->by_asid = inv->by_asid && !inv->by_pasid;
	select->asid = inv->asid;
}

static void invalidate(struct mock_client *client, struct mock_nested *nested,
		       const struct iommu_cache_invalidate_info *info)
{
	struct mock_select iotlb, devtlb, cds;
	struct inv inv;

	decode_inv(info, &inv);
	iotlb = (struct mock_select) {
		.nested = nested,
		.first = inv.first,
		.last = inv.last,
	};
	devtlb = iotlb;
	cds = iotlb;
	/* A page table has no selectors but its own. */
	if (nested->config) {
		select_iotlb(&inv, &iotlb);
		select_devtlb(&inv, &devtlb);
		select_cds(&inv, &cds);
	}

	if (info->cache & IOMMU_CACHE_INV_TYPE_PASID)
		mock_cd_invalidate(&client->cd_cache, &cds);
	if (info->cache & IOMMU_CACHE_INV_TYPE_IOTLB) {
		mock_tlb_invalidate(&client->iotlb, &iotlb);
		if (!inv.leaf)
			mock_psc_invalidate(&client->psc, &iotlb);
	}
	if (info->cache & IOMMU_CACHE_INV_TYPE_DEV_IOTLB)
		mock_tlb_invalidate(&client->devtlb, &devtlb);
}

static int mock_invalidate(struct iommu_uapi_bond *bond,
			   const struct iommu_cache_invalidate_info *info)
{
	struct mock_client *client = mock_client_of(bond->dev);
	int ret;

	if (!(mock_features_of(client) & IOMMU_NESTING_FEAT_CACHE_INVLD))
		return -EOPNOTSUPP;
	ret = mock_injected_inv(client);
	if (ret)
		return ret;

	/* For writing: requests that still use an old entry come to their end. */
	down_write(&client->lock);
	invalidate(client, bond->priv, info);
	up_write(&client->lock);
	atomic64_inc(&client->invalidations);
	return 0;
}

const struct iommu_uapi_ops mock_uapi_ops = {
	.info = mock_info,
	.bind_pgtbl = mock_bind_pgtbl,
	.bind_pasid_table = mock_bind_pasid_table,
	.unbind = mock_unbind,
	.invalidate = mock_invalidate,
};
