// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mock hardware of the IOMMU user API: nested domains, and what iommufd does
 * with them
 *
 * iommufd attaches a nested domain to a device's requests without PASID and
 * invalidates by domain. It finds the same hardware as the IOMMU user API, with
 * the page table format of VT-d.
 */
#include <linux/slab.h>
#include <uapi/linux/iommufd.h>

#include "mock.h"

/* Nested domains in existence */
atomic_t mock_nr_nested = ATOMIC_INIT(0);

/**
 * mock_nested_alloc() - Allocate a nested domain
 * @parent: stage 2, a nesting parent
 *
 * Return: the domain, its stage 1 still to be set, or NULL
 */
struct mock_nested *mock_nested_alloc(struct iommu_domain *parent)
{
	struct mock_nested *nested = kzalloc(sizeof(*nested),
					     GFP_KERNEL_ACCOUNT);

	if (!nested)
		return NULL;
	nested->stage2 = to_stage2(parent);
	nested->ats = true;
	nested->domain.type = IOMMU_DOMAIN_NESTED;
	nested->domain.ops = &mock_nested_ops;
	atomic_inc(&mock_nr_nested);
	return nested;
}

static void nested_free(struct iommu_domain *domain)
{
	atomic_dec(&mock_nr_nested);
	kfree(to_nested(domain));
}

/* iommufd has no request for a device's own TLB: it goes with the IOMMU's. */
static int invalidate_client(struct mock_client *client,
			     struct mock_nested *nested,
			     const struct mock_select *select, bool leaf)
{
	int ret = 0;

	down_write(&client->lock);
	if (client->rid == &nested->domain) {
		ret = mock_injected_inv(client);
		if (!ret) {
			mock_tlb_invalidate(&client->iotlb, select);
			mock_tlb_invalidate(&client->devtlb, select);
			if (!leaf)
				mock_psc_invalidate(&client->psc, select);
			atomic64_inc(&client->invalidations);
		}
	}
	up_write(&client->lock);
	return ret;
}

static int invalidate_one(struct mock_nested *nested,
			  const struct iommu_hwpt_vtd_s1_invalidate *inv)
{
	struct mock_select select = { .nested = nested, .last = U64_MAX };
	unsigned int i;
	int ret = 0;
	u64 size;

	if (inv->flags & ~IOMMU_VTD_INV_FLAGS_LEAF || inv->__reserved)
		return -EOPNOTSUPP;
	if (!IS_ALIGNED(inv->addr, SZ_4K) || !inv->npages ||
	    (inv->npages == U64_MAX && inv->addr))
		return -EINVAL;

	if (inv->npages != U64_MAX) {
		select.first = inv->addr;
		if (check_mul_overflow(inv->npages, SZ_4K, &size) ||
		    check_add_overflow(inv->addr, size - 1, &select.last))
			return -EINVAL;
	}

	for (i = 0; i < MOCK_NR_DEVICES; i++)
		ret = invalidate_client(mock_clients[i], nested, &select,
					inv->flags & IOMMU_VTD_INV_FLAGS_LEAF) ?:
		      ret;
	return ret;
}

static int cache_invalidate_user(struct iommu_domain *domain,
				 struct iommu_user_data_array *array)
{
	struct iommu_hwpt_vtd_s1_invalidate inv;
	u32 done = 0;
	int ret = 0;

	if (array->type != IOMMU_HWPT_INVALIDATE_DATA_VTD_S1) {
		array->entry_num = 0;
		return -EINVAL;
	}

	for (; done < array->entry_num; done++) {
		ret = iommu_copy_struct_from_user_array(&inv, array,
							IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
							done, __reserved);
		if (ret)
			break;
		ret = invalidate_one(to_nested(domain), &inv);
		if (ret)
			break;
	}
	array->entry_num = done;
	return ret;
}

const struct iommu_domain_ops mock_nested_ops = {
	.attach_dev = mock_attach_rid,
	.set_dev_pasid = mock_attach_pasid,
	.cache_invalidate_user = cache_invalidate_user,
	.free = nested_free,
};

static struct iommu_domain *alloc_nested(struct mock_client *client,
					 struct iommu_domain *parent,
					 const struct iommu_user_data *data)
{
	const u64 flags = IOMMU_VTD_S1_SRE | IOMMU_VTD_S1_EAFE |
			  IOMMU_VTD_S1_WPE;
	struct mock_nested *nested;
	struct iommu_hwpt_vtd_s1 s1;
	int ret;

	if (!(mock_features_of(client) & IOMMU_NESTING_FEAT_BIND_PGTBL) ||
	    data->type != IOMMU_HWPT_DATA_VTD_S1)
		return ERR_PTR(-EOPNOTSUPP);
	if (parent->ops != &mock_stage2_ops || !to_stage2(parent)->nest_parent)
		return ERR_PTR(-EINVAL);
	ret = iommu_copy_struct_from_user(&s1, data, IOMMU_HWPT_DATA_VTD_S1,
					  __reserved);
	if (ret)
		return ERR_PTR(ret);
	if (s1.flags & ~flags || s1.__reserved ||
	    (s1.addr_width != 48 && s1.addr_width != 57) ||
	    !IS_ALIGNED(s1.pgtbl_addr, SZ_4K) || s1.pgtbl_addr >> MOCK_GPA_BITS)
		return ERR_PTR(-EINVAL);

	nested = mock_nested_alloc(parent);
	if (!nested)
		return ERR_PTR(-ENOMEM);
	nested->vtd = (struct mock_vtd_table) {
		.root = s1.pgtbl_addr,
		.levels = s1.addr_width == 57 ? 5 : 4,
		.sre = s1.flags & IOMMU_VTD_S1_SRE,
		.eafe = s1.flags & IOMMU_VTD_S1_EAFE,
		.wpe = s1.flags & IOMMU_VTD_S1_WPE,
	};
	return &nested->domain;
}

/**
 * mock_domain_alloc_user() - &iommu_ops.domain_alloc_user
 * @dev: device
 * @flags: IOMMU_HWPT_ALLOC_*
 * @parent: stage 2 of a nested domain, otherwise NULL
 * @data: stage 1 of a nested domain
 *
 * Return: the domain or an error pointer
 */
struct iommu_domain *mock_domain_alloc_user(struct device *dev, u32 flags,
					    struct iommu_domain *parent,
					    const struct iommu_user_data *data)
{
	struct mock_client *client = mock_client_of(dev);
	struct iommu_domain *domain;

	if (parent)
		return flags ? ERR_PTR(-EOPNOTSUPP) :
			       alloc_nested(client, parent, data);
	if (data || flags & ~IOMMU_HWPT_ALLOC_NEST_PARENT)
		return ERR_PTR(-EOPNOTSUPP);
	if (flags && !mock_features_of(client))
		return ERR_PTR(-EOPNOTSUPP);

	domain = mock_stage2_alloc(dev);
	if (!domain)
		return ERR_PTR(-ENOMEM);
	to_stage2(domain)->nest_parent = flags;
	return domain;
}

/**
 * mock_vtd_ecap() - Extended capability register of VT-d
 * @client: device
 *
 * Return: the register, without what the device does not have
 */
u64 mock_vtd_ecap(struct mock_client *client)
{
	unsigned int features = mock_features_of(client);
	u64 ecap = MOCK_VTD_ECAP;

	if (!features)
		ecap &= ~MOCK_VTD_ECAP_NEST;
	if (!(features & IOMMU_NESTING_FEAT_PAGE_REQUEST))
		ecap &= ~MOCK_VTD_ECAP_PRS;
	return ecap;
}

/**
 * mock_hw_info() - &iommu_ops.hw_info
 * @dev: device
 * @length: size of what is returned
 * @type: its type
 *
 * Return: the information, to be freed by the caller, or an error pointer
 */
void *mock_hw_info(struct device *dev, u32 *length, u32 *type)
{
	struct mock_client *client = mock_client_of(dev);
	struct iommu_hw_info_vtd *info;

	if (mock_style_of(client) != MOCK_STYLE_VTD)
		return ERR_PTR(-EOPNOTSUPP);

	info = kzalloc(sizeof(*info), GFP_KERNEL);
	if (!info)
		return ERR_PTR(-ENOMEM);
	info->cap_reg = MOCK_VTD_CAP;
	info->ecap_reg = mock_vtd_ecap(client);
	*length = sizeof(*info);
	*type = IOMMU_HW_INFO_TYPE_INTEL_VTD;
	return info;
}
