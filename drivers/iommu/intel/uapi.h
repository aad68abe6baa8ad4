/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VT-d: guest page tables on behalf of user space, what unit tests see of it
 */
#ifndef _INTEL_UAPI_H
#define _INTEL_UAPI_H

#include <linux/iommu-uapi.h>

#include "iommu.h"

/* Blocks of addresses that one invalidation is split into, if these suffice */
#define INTEL_UAPI_MAX_BLOCKS	4

/*
 * PASID cache, IOTLB and device TLB, the latter perhaps twice, and fences in
 * between
 */
#define INTEL_UAPI_MAX_DESCS	(1 + 1 + INTEL_UAPI_MAX_BLOCKS + 1 + \
				 2 * INTEL_UAPI_MAX_BLOCKS)

/**
 * struct intel_uapi_target - Whose caches an invalidation is for
 * @cap: capability register of the unit
 * @did: domain id of the nested domain on the unit
 * @pasid: PASID; IOMMU_NO_PASID for the requests without
 * @sid: the device's source id
 * @pfsid: that of its physical function, or zero
 * @qdep: depth of its invalidation queue
 * @ats: the device has a device TLB, and uses it
 * @twice: the device wants to be told twice
 */
struct intel_uapi_target {
	u64 cap;
	u16 did;
	u32 pasid;
	u16 sid;
	u16 pfsid;
	u8 qdep;
	bool ats;
	bool twice;
};

#if IS_ENABLED(CONFIG_KUNIT)
void intel_uapi_mask_caps(struct iommu_nesting_info_vtd *vtd, u64 cap, u64 ecap,
			  unsigned int pasid_bits, bool ats, bool page_requests);
void intel_uapi_info_merge(struct iommu_nesting_info *into,
			   const struct iommu_nesting_info *other);
bool intel_uapi_unit_nests(const struct intel_iommu *iommu);
int intel_uapi_check_bind(u64 cap, u64 ecap, u64 max_gpa,
			  const struct iommu_gpasid_bind_data *data);
unsigned int intel_uapi_make_descs(struct qi_desc *descs,
				   const struct intel_uapi_target *target,
				   const struct iommu_cache_invalidate_info *inv);
bool intel_uapi_decode_fault(u64 lo, u64 hi,
			     struct iommu_fault_unrecoverable *event);
struct intel_uapi_bond *intel_uapi_add_bond(struct iommu_uapi_bond *bond);
void intel_uapi_remove_bond(struct iommu_uapi_bond *bond);
#endif

#endif /* _INTEL_UAPI_H */
