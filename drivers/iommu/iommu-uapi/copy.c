// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: the one place where payloads cross from and to user space
 *
 * A payload is copied once, and then checked for all that can be said without
 * knowing the hardware. Whatever passes has a known version, known flags, zero
 * padding and all the bytes that the request makes use of, and does not change
 * any more, whatever user space does to its copy.
 */
#include <linux/align.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "private.h"

#define BIND_FLAGS	(IOMMU_SVA_GPASID_VAL | IOMMU_SVA_NO_PASID)
#define VTD_FLAGS	(IOMMU_SVA_VTD_GPASID_SRE | IOMMU_SVA_VTD_GPASID_EAFE | \
			 IOMMU_SVA_VTD_GPASID_WPE)
#define TABLE_FLAGS	IOMMU_PASID_TABLE_DEVTLB
#define INV_CACHES	(BIT(IOMMU_CACHE_INV_TYPE_NR) - 1)
#define INV_PASID_FLAGS	(IOMMU_INV_PASID_FLAGS_PASID |			\
			 IOMMU_INV_PASID_FLAGS_ARCHID |			\
			 IOMMU_INV_PASID_FLAGS_GPASID |			\
			 IOMMU_INV_PASID_FLAGS_NO_PASID)
#define INV_ADDR_FLAGS	(IOMMU_INV_ADDR_FLAGS_PASID |			\
			 IOMMU_INV_ADDR_FLAGS_ARCHID |			\
			 IOMMU_INV_ADDR_FLAGS_LEAF |			\
			 IOMMU_INV_ADDR_FLAGS_GPASID |			\
			 IOMMU_INV_ADDR_FLAGS_NO_PASID)
#define RESP_FLAGS	(IOMMU_PAGE_RESP_PASID_VALID | IOMMU_PAGE_RESP_GPASID)

#define ASSERT_LAYOUT(s, member, offset)	\
	static_assert(offsetof(struct s, member) == (offset))
#define ASSERT_SIZE(s, size)	static_assert(sizeof(struct s) == (size))

/* User space has been compiled with this layout: it never changes. */
ASSERT_LAYOUT(iommu_pasid_request, argsz, 0);
ASSERT_LAYOUT(iommu_pasid_request, version, 4);
ASSERT_LAYOUT(iommu_pasid_request, flags, 8);
ASSERT_LAYOUT(iommu_pasid_request, min, 12);
ASSERT_LAYOUT(iommu_pasid_request, max, 16);
ASSERT_LAYOUT(iommu_pasid_request, pasid, 20);
ASSERT_SIZE(iommu_pasid_request, 24);
ASSERT_LAYOUT(iommu_gpasid_bind_data, argsz, 0);
ASSERT_LAYOUT(iommu_gpasid_bind_data, version, 4);
ASSERT_LAYOUT(iommu_gpasid_bind_data, format, 8);
ASSERT_LAYOUT(iommu_gpasid_bind_data, addr_width, 12);
ASSERT_LAYOUT(iommu_gpasid_bind_data, flags, 16);
ASSERT_LAYOUT(iommu_gpasid_bind_data, gpgd, 24);
ASSERT_LAYOUT(iommu_gpasid_bind_data, hpasid, 32);
ASSERT_LAYOUT(iommu_gpasid_bind_data, gpasid, 40);
ASSERT_LAYOUT(iommu_gpasid_bind_data, padding, 48);
ASSERT_LAYOUT(iommu_gpasid_bind_data, vendor, 56);
ASSERT_LAYOUT(iommu_gpasid_bind_data_vtd, flags, 0);
ASSERT_LAYOUT(iommu_gpasid_bind_data_vtd, pat, 8);
ASSERT_LAYOUT(iommu_gpasid_bind_data_vtd, emt, 12);
ASSERT_SIZE(iommu_gpasid_bind_data_vtd, 16);
ASSERT_SIZE(iommu_gpasid_bind_data, 72);
ASSERT_LAYOUT(iommu_pasid_table_config, argsz, 0);
ASSERT_LAYOUT(iommu_pasid_table_config, version, 4);
ASSERT_LAYOUT(iommu_pasid_table_config, flags, 8);
ASSERT_LAYOUT(iommu_pasid_table_config, format, 12);
ASSERT_LAYOUT(iommu_pasid_table_config, pasid_bits, 16);
ASSERT_LAYOUT(iommu_pasid_table_config, config, 17);
ASSERT_LAYOUT(iommu_pasid_table_config, padding, 18);
ASSERT_LAYOUT(iommu_pasid_table_config, base_ptr, 24);
ASSERT_LAYOUT(iommu_pasid_table_config, vendor, 32);
ASSERT_LAYOUT(iommu_pasid_smmuv3, s1fmt, 0);
ASSERT_LAYOUT(iommu_pasid_smmuv3, s1dss, 1);
ASSERT_LAYOUT(iommu_pasid_smmuv3, padding, 2);
ASSERT_SIZE(iommu_pasid_smmuv3, 8);
ASSERT_SIZE(iommu_pasid_table_config, 40);
ASSERT_LAYOUT(iommu_cache_invalidate_info, argsz, 0);
ASSERT_LAYOUT(iommu_cache_invalidate_info, version, 4);
ASSERT_LAYOUT(iommu_cache_invalidate_info, cache, 8);
ASSERT_LAYOUT(iommu_cache_invalidate_info, granularity, 9);
ASSERT_LAYOUT(iommu_cache_invalidate_info, padding, 10);
ASSERT_LAYOUT(iommu_cache_invalidate_info, granu, 16);
ASSERT_LAYOUT(iommu_inv_pasid_info, flags, 0);
ASSERT_LAYOUT(iommu_inv_pasid_info, archid, 4);
ASSERT_LAYOUT(iommu_inv_pasid_info, pasid, 8);
ASSERT_SIZE(iommu_inv_pasid_info, 16);
ASSERT_LAYOUT(iommu_inv_addr_info, flags, 0);
ASSERT_LAYOUT(iommu_inv_addr_info, archid, 4);
ASSERT_LAYOUT(iommu_inv_addr_info, pasid, 8);
ASSERT_LAYOUT(iommu_inv_addr_info, addr, 16);
ASSERT_LAYOUT(iommu_inv_addr_info, granule_size, 24);
ASSERT_LAYOUT(iommu_inv_addr_info, nb_granules, 32);
ASSERT_SIZE(iommu_inv_addr_info, 40);
ASSERT_SIZE(iommu_cache_invalidate_info, 56);
ASSERT_LAYOUT(iommu_cache_invalidate_batch, argsz, 0);
ASSERT_LAYOUT(iommu_cache_invalidate_batch, version, 4);
ASSERT_LAYOUT(iommu_cache_invalidate_batch, flags, 8);
ASSERT_LAYOUT(iommu_cache_invalidate_batch, entry_size, 12);
ASSERT_LAYOUT(iommu_cache_invalidate_batch, count, 16);
ASSERT_LAYOUT(iommu_cache_invalidate_batch, done, 20);
ASSERT_LAYOUT(iommu_cache_invalidate_batch, entries, 24);
ASSERT_SIZE(iommu_cache_invalidate_batch, 32);
ASSERT_LAYOUT(uapi_iommu_page_response, argsz, 0);
ASSERT_LAYOUT(uapi_iommu_page_response, version, 4);
ASSERT_LAYOUT(uapi_iommu_page_response, flags, 8);
ASSERT_LAYOUT(uapi_iommu_page_response, pasid, 12);
ASSERT_LAYOUT(uapi_iommu_page_response, grpid, 16);
ASSERT_LAYOUT(uapi_iommu_page_response, code, 20);
ASSERT_SIZE(uapi_iommu_page_response, 24);
ASSERT_LAYOUT(uapi_iommu_fault, type, 0);
ASSERT_LAYOUT(uapi_iommu_fault, padding, 4);
ASSERT_LAYOUT(uapi_iommu_fault, event, 8);
ASSERT_LAYOUT(uapi_iommu_fault, prm, 8);
ASSERT_LAYOUT(uapi_iommu_fault, lost, 8);
ASSERT_LAYOUT(iommu_fault_unrecoverable, reason, 0);
ASSERT_LAYOUT(iommu_fault_unrecoverable, flags, 4);
ASSERT_LAYOUT(iommu_fault_unrecoverable, pasid, 8);
ASSERT_LAYOUT(iommu_fault_unrecoverable, perm, 12);
ASSERT_LAYOUT(iommu_fault_unrecoverable, addr, 16);
ASSERT_LAYOUT(iommu_fault_unrecoverable, fetch_addr, 24);
ASSERT_SIZE(iommu_fault_unrecoverable, 32);
ASSERT_LAYOUT(uapi_iommu_fault_page_request, flags, 0);
ASSERT_LAYOUT(uapi_iommu_fault_page_request, pasid, 4);
ASSERT_LAYOUT(uapi_iommu_fault_page_request, grpid, 8);
ASSERT_LAYOUT(uapi_iommu_fault_page_request, perm, 12);
ASSERT_LAYOUT(uapi_iommu_fault_page_request, addr, 16);
ASSERT_LAYOUT(uapi_iommu_fault_page_request, private_data, 24);
ASSERT_SIZE(uapi_iommu_fault_page_request, 40);
ASSERT_LAYOUT(iommu_fault_lost, unrecoverable, 0);
ASSERT_LAYOUT(iommu_fault_lost, page_requests, 8);
ASSERT_SIZE(iommu_fault_lost, 16);
ASSERT_SIZE(uapi_iommu_fault, 64);
ASSERT_LAYOUT(iommu_nesting_info, argsz, 0);
ASSERT_LAYOUT(iommu_nesting_info, flags, 4);
ASSERT_LAYOUT(iommu_nesting_info, format, 8);
ASSERT_LAYOUT(iommu_nesting_info, features, 12);
ASSERT_LAYOUT(iommu_nesting_info, addr_width, 16);
ASSERT_LAYOUT(iommu_nesting_info, pasid_bits, 18);
ASSERT_LAYOUT(iommu_nesting_info, nr_payloads, 20);
ASSERT_LAYOUT(iommu_nesting_info, caches, 24);
ASSERT_LAYOUT(iommu_nesting_info, granularities, 25);
ASSERT_LAYOUT(iommu_nesting_info, padding, 26);
ASSERT_LAYOUT(iommu_nesting_info, vendor, 32);
ASSERT_LAYOUT(iommu_nesting_info, payloads, 96);
ASSERT_LAYOUT(iommu_payload_info, id, 0);
ASSERT_LAYOUT(iommu_payload_info, size, 4);
ASSERT_LAYOUT(iommu_payload_info, min_size, 8);
ASSERT_LAYOUT(iommu_payload_info, version, 12);
ASSERT_LAYOUT(iommu_payload_info, flags, 16);
ASSERT_LAYOUT(iommu_payload_info, form_flags, 24);
ASSERT_SIZE(iommu_payload_info, 40);
ASSERT_LAYOUT(iommu_nesting_info_vtd, flags, 0);
ASSERT_LAYOUT(iommu_nesting_info_vtd, padding, 4);
ASSERT_LAYOUT(iommu_nesting_info_vtd, cap, 8);
ASSERT_LAYOUT(iommu_nesting_info_vtd, ecap, 16);
ASSERT_SIZE(iommu_nesting_info_vtd, 24);
ASSERT_LAYOUT(iommu_nesting_info_smmuv3, flags, 0);
ASSERT_LAYOUT(iommu_nesting_info_smmuv3, idr, 4);
ASSERT_LAYOUT(iommu_nesting_info_smmuv3, iidr, 28);
ASSERT_LAYOUT(iommu_nesting_info_smmuv3, aidr, 32);
ASSERT_SIZE(iommu_nesting_info_smmuv3, 36);
ASSERT_SIZE(iommu_nesting_info, 416);

#if IS_ENABLED(CONFIG_IOMMU_UAPI_MOCK)
unsigned int iommu_uapi_test_grow;
static_assert(sizeof(union iommu_uapi_payload) >=
	      sizeof(struct iommu_gpasid_bind_data) + IOMMU_UAPI_TEST_GROW_MAX);
#endif

/*
 * Each of the functions below checks one kind of payload and returns the number
 * of bytes that the request makes use of, or -EINVAL.
 */
static int check_pasid(enum iommu_uapi_op op, const union iommu_uapi_payload *p)
{
	const struct iommu_pasid_request *req = &p->pasid;

	if (req->flags || req->pasid || req->min > req->max)
		return -EINVAL;
	if (op == IOMMU_UAPI_PASID_FREE)
		return offsetofend(struct iommu_pasid_request, max);
	return sizeof(*req);
}

static int check_bind_names(enum iommu_uapi_op op,
			    const struct iommu_gpasid_bind_data *bind)
{
	bool by_gpasid = bind->flags & IOMMU_SVA_GPASID_VAL;

	if (bind->flags & ~(u64)BIND_FLAGS ||
	    memchr_inv(bind->padding, 0, sizeof(bind->padding)))
		return -EINVAL;
	if (bind->flags & IOMMU_SVA_NO_PASID)
		return bind->hpasid || by_gpasid ? -EINVAL : 0;
	if (bind->hpasid >= IOMMU_UAPI_NR_PASIDS ||
	    (by_gpasid && bind->gpasid >= IOMMU_UAPI_NR_PASIDS))
		return -EINVAL;
	if (bind->hpasid == IOMMU_NO_PASID &&
	    !(by_gpasid && op == IOMMU_UAPI_UNBIND_PGTBL))
		return -EINVAL;
	return 0;
}

static int check_bind(enum iommu_uapi_op op, const union iommu_uapi_payload *p)
{
	const struct iommu_gpasid_bind_data *bind = &p->bind;
	const struct iommu_gpasid_bind_data_vtd *vtd = &bind->vendor.vtd;
	int ret;

	ret = check_bind_names(op, bind);
	if (ret)
		return ret;
	if (op == IOMMU_UAPI_UNBIND_PGTBL)
		return offsetofend(struct iommu_gpasid_bind_data, gpasid);

	if (bind->format != IOMMU_PASID_FORMAT_INTEL_VTD ||
	    !IS_ALIGNED(bind->gpgd, SZ_4K))
		return -EINVAL;
	if (vtd->flags & ~(u64)VTD_FLAGS || vtd->pat || vtd->emt)
		return -EINVAL;
	/* VT-d section 9.6: write protection is about supervisor accesses */
	if ((vtd->flags & IOMMU_SVA_VTD_GPASID_WPE) &&
	    !(vtd->flags & IOMMU_SVA_VTD_GPASID_SRE))
		return -EINVAL;
	return offsetofend(struct iommu_gpasid_bind_data, vendor.vtd);
}

static int check_table(enum iommu_uapi_op op, const union iommu_uapi_payload *p)
{
	const struct iommu_pasid_table_config *cfg = &p->table;
	const struct iommu_pasid_smmuv3 *smmuv3 = &cfg->vendor.smmuv3;

	if (cfg->flags & ~(u32)TABLE_FLAGS ||
	    memchr_inv(cfg->padding, 0, sizeof(cfg->padding)) ||
	    memchr_inv(smmuv3->padding, 0, sizeof(smmuv3->padding)))
		return -EINVAL;
	if (op == IOMMU_UAPI_UNBIND_PASID_TABLE)
		return offsetofend(struct iommu_pasid_table_config, padding);

	if (cfg->format != IOMMU_PASID_FORMAT_ARM_SMMUV3)
		return -EINVAL;
	switch (cfg->config) {
	case IOMMU_PASID_CONFIG_TRANSLATE:
		break;
	case IOMMU_PASID_CONFIG_BYPASS:
	case IOMMU_PASID_CONFIG_ABORT:
		return offsetofend(struct iommu_pasid_table_config, base_ptr);
	default:
		return -EINVAL;
	}

	if (cfg->pasid_bits > IOMMU_UAPI_PASID_BITS ||
	    !IS_ALIGNED(cfg->base_ptr, SZ_64) ||
	    smmuv3->s1fmt > IOMMU_PASID_SMMUV3_S1FMT_64K_L2 ||
	    smmuv3->s1dss > IOMMU_PASID_SMMUV3_S1DSS_SSID0)
		return -EINVAL;
	return offsetofend(struct iommu_pasid_table_config, vendor.smmuv3);
}

/* The selectors of both forms, brought to the PASID form's flags */
static int check_inv_selector(u32 flags, u64 pasid)
{
	if (flags & IOMMU_INV_PASID_FLAGS_PASID)
		return flags & IOMMU_INV_PASID_FLAGS_NO_PASID ||
		       pasid >= IOMMU_UAPI_NR_PASIDS ? -EINVAL : 0;
	return flags & IOMMU_INV_PASID_FLAGS_GPASID ? -EINVAL : 0;
}

static int check_inv_pasid(const struct iommu_inv_pasid_info *info)
{
	if (info->flags & ~(u32)INV_PASID_FLAGS ||
	    !(info->flags & (IOMMU_INV_PASID_FLAGS_PASID |
			     IOMMU_INV_PASID_FLAGS_ARCHID |
			     IOMMU_INV_PASID_FLAGS_NO_PASID)))
		return -EINVAL;
	return check_inv_selector(info->flags, info->pasid);
}

static int check_inv_addr(const struct iommu_inv_addr_info *info)
{
	u32 flags = info->flags;
	u64 size, end;

	if (flags & ~(u32)INV_ADDR_FLAGS)
		return -EINVAL;
	if (info->granule_size < SZ_4K || !is_power_of_2(info->granule_size) ||
	    !IS_ALIGNED(info->addr, info->granule_size) || !info->nb_granules)
		return -EINVAL;
	if (check_mul_overflow(info->granule_size, info->nb_granules, &size) ||
	    check_add_overflow(info->addr, size - 1, &end))
		return -EINVAL;

	return check_inv_selector((flags & IOMMU_INV_ADDR_FLAGS_PASID ?
				   IOMMU_INV_PASID_FLAGS_PASID : 0) |
				  (flags & IOMMU_INV_ADDR_FLAGS_GPASID ?
				   IOMMU_INV_PASID_FLAGS_GPASID : 0) |
				  (flags & IOMMU_INV_ADDR_FLAGS_NO_PASID ?
				   IOMMU_INV_PASID_FLAGS_NO_PASID : 0),
				  info->pasid);
}

static int check_inv(enum iommu_uapi_op op, const union iommu_uapi_payload *p)
{
	const struct iommu_cache_invalidate_info *inv = &p->inv;
	int ret;

	if (!inv->cache || inv->cache & ~INV_CACHES ||
	    memchr_inv(inv->padding, 0, sizeof(inv->padding)))
		return -EINVAL;

	switch (inv->granularity) {
	case IOMMU_INV_GRANU_DOMAIN:
		if (inv->cache & IOMMU_CACHE_INV_TYPE_DEV_IOTLB)
			return -EINVAL;
		return offsetof(struct iommu_cache_invalidate_info, granu);
	case IOMMU_INV_GRANU_PASID:
		ret = check_inv_pasid(&inv->granu.pasid_info);
		return ret ?: offsetofend(struct iommu_cache_invalidate_info,
					  granu.pasid_info);
	case IOMMU_INV_GRANU_ADDR:
		if (inv->cache & IOMMU_CACHE_INV_TYPE_PASID)
			return -EINVAL;
		ret = check_inv_addr(&inv->granu.addr_info);
		return ret ?: offsetofend(struct iommu_cache_invalidate_info,
					  granu.addr_info);
	default:
		return -EINVAL;
	}
}

static int check_batch(enum iommu_uapi_op op, const union iommu_uapi_payload *p)
{
	const struct iommu_cache_invalidate_batch *batch = &p->batch;

	if (batch->flags || batch->done || batch->entry_size > PAGE_SIZE ||
	    batch->entry_size < offsetof(struct iommu_cache_invalidate_info,
					 granu))
		return -EINVAL;
	return sizeof(*batch);
}

static int check_resp(enum iommu_uapi_op op, const union iommu_uapi_payload *p)
{
	const struct uapi_iommu_page_response *resp = &p->resp;

	if (resp->flags & ~(u32)RESP_FLAGS ||
	    resp->code > UAPI_IOMMU_PAGE_RESP_FAILURE)
		return -EINVAL;
	if (!(resp->flags & IOMMU_PAGE_RESP_PASID_VALID) &&
	    (resp->pasid || resp->flags & IOMMU_PAGE_RESP_GPASID))
		return -EINVAL;
	return sizeof(*resp);
}

/**
 * struct payload_desc - What the copy step and the feature query know of a payload
 * @check: check of a copied payload, see above; NULL if user space passes none
 * @size: bytes that this kernel knows
 * @min_size: bytes without which no request makes sense
 * @out: offset of the __u32 that is written back, or 0
 * @flags: flags that pass @check
 * @form_flags: flags in union members that pass @check
 */
struct payload_desc {
	int (*check)(enum iommu_uapi_op op, const union iommu_uapi_payload *p);
	u16 size;
	u16 min_size;
	u16 out;
	u64 flags;
	u64 form_flags[2];
};

static const struct payload_desc payloads[IOMMU_PAYLOAD_NR] = {
	[IOMMU_PAYLOAD_PASID_REQUEST] = {
		.check = check_pasid,
		.size = sizeof(struct iommu_pasid_request),
		.min_size = offsetofend(struct iommu_pasid_request, max),
		.out = offsetof(struct iommu_pasid_request, pasid),
	},
	[IOMMU_PAYLOAD_BIND_PGTBL] = {
		.check = check_bind,
		.size = sizeof(struct iommu_gpasid_bind_data),
		.min_size = offsetofend(struct iommu_gpasid_bind_data, gpasid),
		.flags = BIND_FLAGS,
		.form_flags = { VTD_FLAGS },
	},
	[IOMMU_PAYLOAD_BIND_PASID_TABLE] = {
		.check = check_table,
		.size = sizeof(struct iommu_pasid_table_config),
		.min_size = offsetofend(struct iommu_pasid_table_config, padding),
		.flags = TABLE_FLAGS,
	},
	[IOMMU_PAYLOAD_CACHE_INVALIDATE] = {
		.check = check_inv,
		.size = sizeof(struct iommu_cache_invalidate_info),
		.min_size = offsetof(struct iommu_cache_invalidate_info, granu),
		.form_flags = { INV_PASID_FLAGS, INV_ADDR_FLAGS },
	},
	[IOMMU_PAYLOAD_CACHE_INVALIDATE_BATCH] = {
		.check = check_batch,
		.size = sizeof(struct iommu_cache_invalidate_batch),
		.min_size = sizeof(struct iommu_cache_invalidate_batch),
		.out = offsetof(struct iommu_cache_invalidate_batch, done),
	},
	[IOMMU_PAYLOAD_PAGE_RESPONSE] = {
		.check = check_resp,
		.size = sizeof(struct uapi_iommu_page_response),
		.min_size = sizeof(struct uapi_iommu_page_response),
		.flags = RESP_FLAGS,
	},
	[IOMMU_PAYLOAD_NESTING_INFO] = {
		.size = sizeof(struct iommu_nesting_info),
		.min_size = offsetof(struct iommu_nesting_info, vendor),
	},
};

static const u8 payload_of_op[IOMMU_UAPI_OP_NR] = {
	[IOMMU_UAPI_PASID_ALLOC] = IOMMU_PAYLOAD_PASID_REQUEST,
	[IOMMU_UAPI_PASID_FREE] = IOMMU_PAYLOAD_PASID_REQUEST,
	[IOMMU_UAPI_BIND_PGTBL] = IOMMU_PAYLOAD_BIND_PGTBL,
	[IOMMU_UAPI_UNBIND_PGTBL] = IOMMU_PAYLOAD_BIND_PGTBL,
	[IOMMU_UAPI_BIND_PASID_TABLE] = IOMMU_PAYLOAD_BIND_PASID_TABLE,
	[IOMMU_UAPI_UNBIND_PASID_TABLE] = IOMMU_PAYLOAD_BIND_PASID_TABLE,
	[IOMMU_UAPI_INVALIDATE] = IOMMU_PAYLOAD_CACHE_INVALIDATE,
	[IOMMU_UAPI_INVALIDATE_BATCH] = IOMMU_PAYLOAD_CACHE_INVALIDATE_BATCH,
	[IOMMU_UAPI_PAGE_RESPONSE] = IOMMU_PAYLOAD_PAGE_RESPONSE,
};

/* What all payloads begin with */
struct payload_head {
	u32 argsz;
	u32 version;
};

/* Read the caller's claim of the payload's size, and bound it. */
static int copy_argsz(u32 *argsz, const struct payload_desc *desc,
		      const void __user *from, size_t avail)
{
	if (avail < sizeof(*argsz))
		return -EINVAL;
	if (copy_from_user(argsz, from, sizeof(*argsz)))
		return -EFAULT;
	if (*argsz > PAGE_SIZE)
		return -E2BIG;
	if (*argsz > avail || *argsz < desc->min_size)
		return -EINVAL;
	return 0;
}

/**
 * iommu_uapi_copy_from_user() - Copy a payload and check it
 * @payload: where to; on return the bytes that the caller did not pass are zero
 * @op: what the payload is for; decides on its type and on what it must have
 * @from: user pointer to the payload
 * @avail: bytes that belong to the payload at @from, as the wrapper around it
 *	says; the payload's own argsz must not exceed it
 *
 * May sleep for as long as user space likes: call it without locks.
 *
 * Return:
 * * 0: copied, and good
 * * -EINVAL: argsz less than the request needs or more than @avail, unknown
 *   version, format or flags, padding that is not zero, values that no hardware
 *   takes
 * * -E2BIG: argsz over one page, or bytes set that this kernel does not know
 * * -EFAULT: @from cannot be read
 */
int iommu_uapi_copy_from_user(union iommu_uapi_payload *payload,
			      enum iommu_uapi_op op,
			      const void __user *from, size_t avail)
{
	const struct payload_desc *desc = &payloads[payload_of_op[op]];
	struct payload_head *head = (struct payload_head *)payload;
	u32 argsz;
	int ret;

	ret = copy_argsz(&argsz, desc, from, avail);
	if (ret)
		return ret;

	memset(payload, 0, sizeof(*payload));
	ret = copy_struct_from_user(payload, desc->size + iommu_uapi_test_grow,
				    from, argsz);
	if (ret)
		return ret;
	/* The copy has read it a second time: user space may have changed it. */
	head->argsz = argsz;

	if (head->version != IOMMU_UAPI_VERSION_1)
		return -EINVAL;
	ret = desc->check(op, payload);
	if (ret < 0)
		return ret;
	return argsz < ret ? -EINVAL : 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_copy_from_user);

/**
 * iommu_uapi_copy_to_user() - Write back the result that a payload has
 * @to: user pointer that iommu_uapi_copy_from_user() was given
 * @op: IOMMU_UAPI_PASID_ALLOC or IOMMU_UAPI_INVALIDATE_BATCH; others have none
 * @payload: holds the result
 *
 * May sleep for as long as user space likes: call it without locks.
 *
 * Return: 0 or -EFAULT
 */
int iommu_uapi_copy_to_user(void __user *to, enum iommu_uapi_op op,
			    const union iommu_uapi_payload *payload)
{
	u16 out = payloads[payload_of_op[op]].out;

	if (WARN_ON_ONCE(!out))
		return 0;
	return copy_to_user(to + out, payload->raw + out, sizeof(u32)) ?
		-EFAULT : 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_copy_to_user);

/**
 * iommu_uapi_info_to_user() - Answer a query
 * @to: user pointer to a struct iommu_nesting_info with argsz set
 * @avail: bytes that belong to it, as the wrapper around it says
 * @info: the answer
 *
 * Writes argsz bytes: as much of the answer as there is room for, and zeroes
 * where the caller has room for more than the kernel knows.
 *
 * Return: 0, -EINVAL or -E2BIG for argsz as for other payloads, or -EFAULT
 */
int iommu_uapi_info_to_user(void __user *to, size_t avail,
			    struct iommu_nesting_info *info)
{
	const struct payload_desc *desc = &payloads[IOMMU_PAYLOAD_NESTING_INFO];
	size_t size = sizeof(*info);
	u32 argsz;
	int ret;

	ret = copy_argsz(&argsz, desc, to, avail);
	if (ret)
		return ret;
	if (copy_to_user(to, info, min_t(size_t, argsz, size)))
		return -EFAULT;
	if (argsz > size && clear_user(to + size, argsz - size))
		return -EFAULT;
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_uapi_info_to_user);

/**
 * iommu_uapi_payload_infos() - Tell what this kernel knows of each payload
 * @infos: where to
 * @max: room there
 *
 * Return: number of entries filled in
 */
u32 iommu_uapi_payload_infos(struct iommu_payload_info *infos, u32 max)
{
	u32 id;

	for (id = 0; id < IOMMU_PAYLOAD_NR && id < max; id++) {
		const struct payload_desc *desc = &payloads[id];

		infos[id] = (struct iommu_payload_info) {
			.id = id,
			.size = desc->size +
				(desc->check ? iommu_uapi_test_grow : 0),
			.min_size = desc->min_size,
			.version = IOMMU_UAPI_VERSION_1,
			.flags = desc->flags,
			.form_flags = { desc->form_flags[0],
					desc->form_flags[1] },
		};
	}
	return id;
}
