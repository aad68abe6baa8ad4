/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SMMUv3: guest PASID tables on behalf of user space, what unit tests see of it
 */
#ifndef _ARM_SMMU_V3_UAPI_H
#define _ARM_SMMU_V3_UAPI_H

#include <linux/iommu-uapi.h>

#include "arm-smmu-v3.h"

/* When the silence of a device is forgotten, in jiffies */
#define ATC_FORGIVE		(60 * 60 * HZ)

/**
 * struct arm_smmu_uapi_inv - An invalidation request, decoded
 * @master: the device
 * @vmid: VMID of its stage 2
 * @has_asid: only the address space with @asid
 * @asid: the guest's ASID
 * @has_ssid: only the context descriptor with @ssid
 * @ssid: the guest's PASID; zero for requests without
 * @has_range: only addresses from @first to @last, inclusive
 * @leaf: only the last level of the guest's tables has changed
 * @first: first byte
 * @last: last byte
 */
struct arm_smmu_uapi_inv {
	struct arm_smmu_master *master;
	u16 vmid;
	u16 asid;
	u32 ssid;
	bool has_asid;
	bool has_ssid;
	bool has_range;
	bool leaf;
	u64 first;
	u64 last;
};

/**
 * struct arm_smmu_uapi_state - What a device's stream table entry is made of
 * @ste: the entry
 * @nested: a guest's stage 1 is in it
 * @ats: so is ATS, which is on in the device then
 */
struct arm_smmu_uapi_state {
	struct arm_smmu_ste ste;
	bool nested;
	bool ats;
};

typedef void (*arm_smmu_uapi_emit_t)(void *data, struct arm_smmu_cmdq_ent *cmd);

#if IS_ENABLED(CONFIG_KUNIT)
bool arm_smmu_uapi_supported(const struct arm_smmu_master *master,
			     bool allow_uncached);
bool arm_smmu_uapi_can_nest_on(const struct arm_smmu_master *master,
			       const struct arm_smmu_domain *stage2,
			       bool allow_uncached);
void arm_smmu_uapi_mask_idr(const struct arm_smmu_master *master, bool ats,
			    const u32 *hw, u32 *idr);
void arm_smmu_uapi_info_merge(struct iommu_nesting_info *into,
			      const struct iommu_nesting_info *other);
int arm_smmu_uapi_check_config(const struct arm_smmu_master *master,
			       const struct iommu_pasid_table_config *cfg);
void arm_smmu_uapi_make_ste(struct arm_smmu_ste *target,
			    struct arm_smmu_master *master,
			    struct arm_smmu_domain *stage2,
			    const struct iommu_pasid_table_config *cfg,
			    bool ats_enabled);
bool arm_smmu_uapi_make_step(struct arm_smmu_ste *step,
			     const struct arm_smmu_uapi_state *from,
			     const struct arm_smmu_uapi_state *to);
int arm_smmu_uapi_decode_inv(struct arm_smmu_uapi_inv *req,
			     const struct iommu_cache_invalidate_info *inv);
void arm_smmu_uapi_emit_cd(const struct arm_smmu_uapi_inv *req,
			   arm_smmu_uapi_emit_t emit, void *data);
void arm_smmu_uapi_emit_tlb(const struct arm_smmu_uapi_inv *req,
			    arm_smmu_uapi_emit_t emit, void *data);
void arm_smmu_uapi_emit_atc(const struct arm_smmu_uapi_inv *req,
			    arm_smmu_uapi_emit_t emit, void *data);
int arm_smmu_uapi_invalidate(struct iommu_uapi_bond *bond,
			     const struct iommu_cache_invalidate_info *inv);
bool arm_smmu_uapi_evtq_passed(const struct arm_smmu_queue *q, u32 handled,
			       u32 prod);
bool arm_smmu_uapi_decode_evt(const u64 *evt,
			      struct iommu_fault_unrecoverable *event);
#endif

#endif /* _ARM_SMMU_V3_UAPI_H */
