// SPDX-License-Identifier: GPL-2.0-only
/*
 * SMMUv3: guest PASID tables on behalf of user space
 *
 * A guest's table of context descriptors (stage 1) is put on top of the domain
 * that the device is attached to (stage 2) by changing the device's stream table
 * entry and nothing else. The domain stays attached as far as the IOMMU core is
 * concerned, and on its list of devices as far as this driver is concerned, so
 * that mapping, unmapping and MSIs go on as before.
 *
 * Who trusts whom: all that comes from the guest is addresses in its own memory,
 * which the hardware reads through stage 2, and numbers that are checked here.
 * Commands are built from fields, with the VMID of the domain and the StreamIDs
 * of the device, so a guest reaches the caches of no other. No command can be
 * illegal, for an illegal one would stop the queue of all.
 *
 * Lifetimes:
 *
 * master->bond is set from before the guest's table is in the stream table entry
 * until after it has been taken out and the events that it has caused are
 * handled. Any other attach takes the table out as well and clears master->bond;
 * an unbind that comes later then leaves the hardware alone. The core frees the
 * bond when the unbind has returned. bond->priv says what the stream table entry
 * was last made of, for the way back.
 *
 * When the table is taken out, what was cached of it goes before the unbind
 * returns: context descriptors, TLB entries of the VMID's stage 1, device TLB.
 * Nothing of one binding is left for the next, which may be another guest's.
 *
 * Locks, outermost first:
 *
 *   the core's udev->lock	held for writing by bind and unbind, for reading
 *				by invalidate
 *   master->guest_atc_lock	held while the guest's device TLB is invalidated
 *				because the guest has asked for it
 *   arm_smmu_asid_lock		serialises all changes of stream table entries and
 *				of the list of devices; under the group's mutex in
 *				the attach path; in the unmap path only where a
 *				device has not answered
 *   smmu->streams_mutex	held by the event thread while it uses
 *				master->bond
 *   smmu_domain->devices_lock	flag master_domain->nested, which the unmap path
 *				looks at
 *
 *   smmu->atc_lock		for reading while device TLBs are invalidated,
 *				for writing where one has not answered, and where
 *				ATS is switched: a device without may not answer
 *
 * Other invalidations take none of the driver's locks. None allocates anything.
 */
#include <linux/iopoll.h>
#include <linux/log2.h>
#include <linux/moduleparam.h>
#include <linux/pci-ats.h>
#include <linux/pci.h>
#include <kunit/visibility.h>

#include "arm-smmu-v3-uapi.h"

/* How long an unbind waits for the event thread to come past its events */
#define EVTQ_DRAIN_POLL_US	50
#define EVTQ_DRAIN_TIMEOUT_US	100000

/*
 * Without range commands, more pages than this are not worth a command each:
 * all of the guest's entries go. The host's own SVA draws the line there too.
 */
#define MAX_PAGE_CMDS		512

/* Range commands have 5 bits for the exponent of the number of pages. */
#define MAX_RANGE_PAGES		(BIT_ULL(32) - 1)

static bool allow_uncached_guests;
module_param(allow_uncached_guests, bool, 0644);
MODULE_PARM_DESC(allow_uncached_guests,
		 "Nest on SMMUs without S2FWB too, where a guest can have its device read memory past the CPU's caches, and so what others have left in it.");

/* How often within ATC_FORGIVE a device may not answer its guest */
#define MAX_ATC_FAILURES	3

/*
 * Can the hardware put a guest's stage 1 on top of stage 2 for this device?
 *
 * Coherency: the guest's tables are in its own, cacheable memory, and there is
 * nobody to clean caches when the guest writes them.
 *
 * Cacheability: without S2FWB stage 1 can make memory uncached. Pages are given to
 * VFIO as they come, cleared in the cache and perhaps nowhere else.
 *
 * Queues: a completed CMD_SYNC says that the commands before it are done, if there
 * is one queue. Where each CPU has its own, what could not be confirmed on one
 * would be taken for done on another.
 *
 * Stalls: a stalled transaction waits for an answer. The guest's would have to
 * come from user space, which can keep it back, while the hardware holds a
 * resource that all devices share. Until page requests are served for such
 * devices, they have no nested translation.
 */
VISIBLE_IF_KUNIT
bool arm_smmu_uapi_supported(const struct arm_smmu_master *master,
			     bool allow_uncached)
{
	const struct arm_smmu_impl_ops *impl_ops = master->smmu->impl_ops;
	u32 needed = ARM_SMMU_FEAT_NESTING | ARM_SMMU_FEAT_TRANS_S1 |
		     ARM_SMMU_FEAT_TRANS_S2 | ARM_SMMU_FEAT_COHERENCY;

	return (master->smmu->features & needed) == needed &&
	       (master->smmu->features & ARM_SMMU_FEAT_S2FWB ||
		allow_uncached) &&
	       !(impl_ops && impl_ops->get_secondary_cmdq) &&
	       !(master->smmu->features & ARM_SMMU_FEAT_STALL_FORCE) &&
	       !master->stall_enabled;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_supported);

/*
 * The guest's view of the hardware: what is true of stage 1 for this device.
 * What a virtual SMMU emulates by itself (stream table, queues, MSIs) and what
 * a guest does not get (stage 2, stalls, page requests, broadcast invalidation)
 * is zero.
 */
VISIBLE_IF_KUNIT
void arm_smmu_uapi_mask_idr(const struct arm_smmu_master *master, bool ats,
			    const u32 *hw, u32 *idr)
{
	u32 features = master->smmu->features;

	idr[0] = hw[0] & (IDR0_S1P | IDR0_ASID16 | IDR0_CD2L | IDR0_TTENDIAN |
			  IDR0_TERM_MODEL);
	idr[0] |= IDR0_COHACC | FIELD_PREP(IDR0_TTF, IDR0_TTF_AARCH64) |
		  FIELD_PREP(IDR0_STALL_MODEL, IDR0_STALL_MODEL_NONE);
	if (features & ARM_SMMU_FEAT_HD)
		idr[0] |= FIELD_PREP(IDR0_HTTU, IDR0_HTTU_ACCESS_DIRTY);
	else if (features & ARM_SMMU_FEAT_HA)
		idr[0] |= FIELD_PREP(IDR0_HTTU, IDR0_HTTU_ACCESS);
	if (ats)
		idr[0] |= IDR0_ATS;

	idr[1] = FIELD_PREP(IDR1_SSIDSIZE, master->ssid_bits);
	idr[2] = 0;
	idr[3] = hw[3] & (IDR3_HAD | IDR3_STT | IDR3_RIL | IDR3_BBML);
	idr[4] = 0;
	idr[5] = hw[5] & (IDR5_VAX | IDR5_GRAN64K | IDR5_GRAN16K |
			  IDR5_GRAN4K | IDR5_OAS);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_mask_idr);

/*
 * Without stage 2 in hardware, a domain for which nesting was asked for is one
 * of stage 1: nothing goes on top of that.
 */
VISIBLE_IF_KUNIT
bool arm_smmu_uapi_can_nest_on(const struct arm_smmu_master *master,
			       const struct arm_smmu_domain *stage2,
			       bool allow_uncached)
{
	return arm_smmu_uapi_supported(master, allow_uncached) &&
	       stage2->nest_parent &&
	       stage2->stage == ARM_SMMU_DOMAIN_S2 &&
	       stage2->smmu == master->smmu;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_can_nest_on);

static int arm_smmu_uapi_info(struct device *dev, struct iommu_domain *stage2,
			      struct iommu_nesting_info *info)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct iommu_nesting_info_smmuv3 *regs = &info->vendor.smmuv3;
	struct arm_smmu_device *smmu = master->smmu;
	u32 hw[ARRAY_SIZE(regs->idr)];
	int i;

	if (!arm_smmu_uapi_can_nest_on(master, to_smmu_domain(stage2),
				       READ_ONCE(allow_uncached_guests)))
		return -EOPNOTSUPP;

	info->format = IOMMU_PASID_FORMAT_ARM_SMMUV3;
	info->features = IOMMU_NESTING_FEAT_BIND_PASID_TABLE |
			 IOMMU_NESTING_FEAT_CACHE_INVLD;
	info->addr_width = smmu->features & ARM_SMMU_FEAT_VAX ? 52 : 48;
	info->pasid_bits = master->ssid_bits;
	info->caches = IOMMU_CACHE_INV_TYPE_IOTLB |
		       IOMMU_CACHE_INV_TYPE_DEV_IOTLB |
		       IOMMU_CACHE_INV_TYPE_PASID;
	info->granularities = BIT(IOMMU_INV_GRANU_DOMAIN) |
			      BIT(IOMMU_INV_GRANU_PASID) |
			      BIT(IOMMU_INV_GRANU_ADDR);

	for (i = 0; i < ARRAY_SIZE(hw); i++)
		hw[i] = readl_relaxed(smmu->base + ARM_SMMU_IDR0 + 4 * i);
	arm_smmu_uapi_mask_idr(master, arm_smmu_ats_supported(master), hw,
			       regs->idr);
	regs->iidr = readl_relaxed(smmu->base + ARM_SMMU_IIDR);
	regs->aidr = readl_relaxed(smmu->base + ARM_SMMU_AIDR);
	regs->flags = IOMMU_NESTING_INFO_SMMUV3_VALID;
	return 0;
}

/* Devices of one SMMU differ in their PASIDs and in ATS. */
VISIBLE_IF_KUNIT
void arm_smmu_uapi_info_merge(struct iommu_nesting_info *into,
			      const struct iommu_nesting_info *other)
{
	struct iommu_nesting_info_smmuv3 *regs = &into->vendor.smmuv3;
	struct iommu_nesting_info_smmuv3 from = other->vendor.smmuv3;
	u32 ssid_bits = min(FIELD_GET(IDR1_SSIDSIZE, regs->idr[1]),
			    FIELD_GET(IDR1_SSIDSIZE, from.idr[1]));
	u32 ats = regs->idr[0] & from.idr[0] & IDR0_ATS;

	regs->idr[0] = (regs->idr[0] & ~IDR0_ATS) | ats;
	from.idr[0] = (from.idr[0] & ~IDR0_ATS) | ats;
	regs->idr[1] = FIELD_PREP(IDR1_SSIDSIZE, ssid_bits);
	from.idr[1] = regs->idr[1];

	if (memcmp(regs, &from, sizeof(from)))
		memset(&into->vendor, 0, sizeof(into->vendor));
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_info_merge);

/*
 * What the copy step has not checked because it depends on the hardware. An
 * entry that the hardware finds illegal costs an event for each transaction, in
 * a queue that is not the guest's alone.
 */
VISIBLE_IF_KUNIT
int arm_smmu_uapi_check_config(const struct arm_smmu_master *master,
			       const struct iommu_pasid_table_config *cfg)
{
	const struct iommu_pasid_smmuv3 *s1 = &cfg->vendor.smmuv3;
	const struct arm_smmu_device *smmu = master->smmu;
	unsigned int leaf_bits;

	if (cfg->config != IOMMU_PASID_CONFIG_TRANSLATE)
		return 0;
	if (cfg->pasid_bits > master->ssid_bits)
		return -EINVAL;
	if (cfg->base_ptr & ~STRTAB_STE_0_S1CTXPTR_MASK ||
	    cfg->base_ptr >> smmu->ias)
		return -EINVAL;

	switch (s1->s1fmt) {
	case IOMMU_PASID_SMMUV3_S1FMT_LINEAR:
		/* The hardware ignores the rest of the address. */
		return IS_ALIGNED(cfg->base_ptr, sizeof(struct arm_smmu_cd) <<
						 cfg->pasid_bits) ? 0 : -EINVAL;
	case IOMMU_PASID_SMMUV3_S1FMT_4K_L2:
		leaf_bits = ilog2(SZ_4K / sizeof(struct arm_smmu_cd));
		break;
	case IOMMU_PASID_SMMUV3_S1FMT_64K_L2:
		leaf_bits = ilog2(SZ_64K / sizeof(struct arm_smmu_cd));
		break;
	default:
		return -EINVAL;
	}

	if (!(smmu->features & ARM_SMMU_FEAT_2_LVL_CDTAB))
		return -EINVAL;
	if (cfg->pasid_bits > leaf_bits &&
	    !IS_ALIGNED(cfg->base_ptr, sizeof(struct arm_smmu_cdtab_l1) <<
				       (cfg->pasid_bits - leaf_bits)))
		return -EINVAL;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_check_config);

/* The fields of stage 1 are the guest's, or the host's where they could harm. */
VISIBLE_IF_KUNIT
void arm_smmu_uapi_make_ste(struct arm_smmu_ste *target,
			    struct arm_smmu_master *master,
			    struct arm_smmu_domain *stage2,
			    const struct iommu_pasid_table_config *cfg,
			    bool ats_enabled)
{
	/* Without PASIDs the hardware ignores both fields: keep them constant */
	u8 s1fmt = STRTAB_STE_0_S1FMT_LINEAR, s1dss = STRTAB_STE_1_S1DSS_SSID0;
	u64 w0, w1;

	if (cfg->config == IOMMU_PASID_CONFIG_ABORT) {
		arm_smmu_make_abort_ste(target);
		return;
	}

	arm_smmu_make_s2_domain_ste(target, master, stage2, ats_enabled);
	if (cfg->config == IOMMU_PASID_CONFIG_BYPASS)
		return;

	if (cfg->pasid_bits) {
		s1fmt = cfg->vendor.smmuv3.s1fmt;
		s1dss = cfg->vendor.smmuv3.s1dss;
	}
	w0 = FIELD_PREP(STRTAB_STE_0_CFG, STRTAB_STE_0_CFG_NESTED) |
	     FIELD_PREP(STRTAB_STE_0_S1FMT, s1fmt) |
	     (cfg->base_ptr & STRTAB_STE_0_S1CTXPTR_MASK) |
	     FIELD_PREP(STRTAB_STE_0_S1CDMAX, cfg->pasid_bits);
	w1 = FIELD_PREP(STRTAB_STE_1_S1DSS, s1dss) |
	     FIELD_PREP(STRTAB_STE_1_S1CIR, STRTAB_STE_1_S1C_CACHE_WBRA) |
	     FIELD_PREP(STRTAB_STE_1_S1COR, STRTAB_STE_1_S1C_CACHE_WBRA) |
	     FIELD_PREP(STRTAB_STE_1_S1CSH, ARM_SMMU_SH_ISH) |
	     STRTAB_STE_1_MEV;
	if (master->smmu->features & ARM_SMMU_FEAT_STALLS)
		w1 |= STRTAB_STE_1_S1STALLD;

	target->data[0] &= cpu_to_le64(~STRTAB_STE_0_CFG);
	target->data[0] |= cpu_to_le64(w0);
	target->data[1] |= cpu_to_le64(w1);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_make_ste);

/* Commands for a batch, collected one by one */
struct arm_smmu_uapi_batch {
	struct arm_smmu_device *smmu;
	struct arm_smmu_cmdq_batch cmds;
	bool used;
};

static void arm_smmu_uapi_batch_add(void *data, struct arm_smmu_cmdq_ent *cmd)
{
	struct arm_smmu_uapi_batch *batch = data;

	if (!batch->used)
		arm_smmu_cmdq_batch_init(batch->smmu, &batch->cmds, cmd);
	batch->used = true;
	arm_smmu_cmdq_batch_add(batch->smmu, &batch->cmds, cmd);
}

/* Send the commands of one kind and wait for their completion. */
static noinline_for_stack
int arm_smmu_uapi_issue(const struct arm_smmu_uapi_inv *req,
			void (*emit_cmds)(const struct arm_smmu_uapi_inv *req,
					  arm_smmu_uapi_emit_t emit,
					  void *data))
{
	struct arm_smmu_uapi_batch batch;

	batch.smmu = req->master->smmu;
	batch.used = false;
	emit_cmds(req, arm_smmu_uapi_batch_add, &batch);
	return batch.used ? arm_smmu_cmdq_batch_submit(batch.smmu, &batch.cmds) :
			    0;
}

/* Stream table entries */
static void arm_smmu_uapi_emit_ste(const struct arm_smmu_uapi_inv *req,
				   arm_smmu_uapi_emit_t emit, void *data)
{
	struct arm_smmu_cmdq_ent cmd = {
		.opcode = CMDQ_OP_CFGI_STE,
		.cfgi.leaf = true,
	};
	unsigned int i;

	for (i = 0; i < req->master->num_streams; i++) {
		cmd.cfgi.sid = req->master->streams[i].id;
		emit(data, &cmd);
	}
}

/* Context descriptor cache */
VISIBLE_IF_KUNIT
void arm_smmu_uapi_emit_cd(const struct arm_smmu_uapi_inv *req,
			   arm_smmu_uapi_emit_t emit, void *data)
{
	struct arm_smmu_cmdq_ent cmd = { .opcode = CMDQ_OP_CFGI_CD_ALL };
	unsigned int i;

	if (req->has_ssid) {
		cmd.opcode = CMDQ_OP_CFGI_CD;
		cmd.cfgi.ssid = req->ssid;
	}
	for (i = 0; i < req->master->num_streams; i++) {
		cmd.cfgi.sid = req->master->streams[i].id;
		emit(data, &cmd);
	}
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_emit_cd);

/* @nr pages of 2^@tg bytes by range commands, which find only tables of @tg */
static void arm_smmu_uapi_emit_range(struct arm_smmu_cmdq_ent *cmd, u64 addr,
				     u64 nr, unsigned int tg,
				     arm_smmu_uapi_emit_t emit, void *data)
{
	while (nr) {
		unsigned int scale = __ffs64(nr);
		u64 num = (nr >> scale) & CMDQ_TLBI_RANGE_NUM_MAX;

		/* One page has no encoding as a range, and needs none. */
		if (!scale && num == 1) {
			cmd->tlbi.tg = 0;
			cmd->tlbi.scale = 0;
			cmd->tlbi.num = 0;
		} else {
			cmd->tlbi.tg = (tg - 10) / 2;
			cmd->tlbi.scale = scale;
			cmd->tlbi.num = num - 1;
		}
		cmd->tlbi.addr = addr;
		emit(data, cmd);

		addr += num << (scale + tg);
		nr -= num << scale;
	}
}

/*
 * TLB. What size the guest's pages have is not taken from the request, for if
 * that were wrong, entries would stay: the range is invalidated in steps of the
 * smallest granule that the hardware has, or by range commands once for each
 * granule. Where that would take too many commands, and where the range does not
 * fit them, all of the guest's entries go; NH_ASID would leave global ones.
 */
VISIBLE_IF_KUNIT
void arm_smmu_uapi_emit_tlb(const struct arm_smmu_uapi_inv *req,
			    arm_smmu_uapi_emit_t emit, void *data)
{
	const struct arm_smmu_device *smmu = req->master->smmu;
	bool has_ranges = smmu->features & ARM_SMMU_FEAT_RANGE_INV;
	unsigned int tg = __ffs(smmu->pgsize_bitmap);
	struct arm_smmu_cmdq_ent cmd = { .tlbi.vmid = req->vmid };
	u64 i, nr;

	nr = (req->last >> tg) - (req->first >> tg) + 1;
	if (!req->has_range || nr > (has_ranges ? MAX_RANGE_PAGES :
						  MAX_PAGE_CMDS)) {
		cmd.opcode = CMDQ_OP_TLBI_NH_ALL;
		if (!req->has_range && req->has_asid) {
			cmd.opcode = CMDQ_OP_TLBI_NH_ASID;
			cmd.tlbi.asid = req->asid;
		}
		emit(data, &cmd);
		return;
	}

	cmd.opcode = CMDQ_OP_TLBI_NH_VAA;
	if (req->has_asid) {
		cmd.opcode = CMDQ_OP_TLBI_NH_VA;
		cmd.tlbi.asid = req->asid;
	}
	cmd.tlbi.leaf = req->leaf;

	if (!has_ranges || nr == 1) {
		for (i = 0; i < nr; i++) {
			cmd.tlbi.addr = ((req->first >> tg) + i) << tg;
			emit(data, &cmd);
		}
		return;
	}

	for (; tg <= ilog2(SZ_64K); tg += 2) {
		if (!(smmu->pgsize_bitmap & BIT(tg)))
			continue;
		nr = (req->last >> tg) - (req->first >> tg) + 1;
		arm_smmu_uapi_emit_range(&cmd, (req->first >> tg) << tg, nr, tg,
					 emit, data);
	}
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_emit_tlb);

/* Device TLB. Without a PASID, entries with any PASID go too: see PCIe ATS. */
VISIBLE_IF_KUNIT
void arm_smmu_uapi_emit_atc(const struct arm_smmu_uapi_inv *req,
			    arm_smmu_uapi_emit_t emit, void *data)
{
	struct arm_smmu_master *master = req->master;
	struct arm_smmu_cmdq_ent cmd;
	unsigned int i;
	u64 first, stu, size = 0;

	if (!master->ats_enabled)
		return;
	/*
	 * What is smaller than the device's translation unit need not be done.
	 * All 2^64 addresses: zero, which means all.
	 */
	stu = 1ULL << __ffs(master->smmu->pgsize_bitmap);
	first = ALIGN_DOWN(req->first, stu);
	if (req->has_range)
		size = (req->last | (stu - 1)) - first + 1;

	arm_smmu_atc_inv_to_cmd(req->has_ssid ? req->ssid : IOMMU_NO_PASID,
				first, size, &cmd);
	for (i = 0; i < master->num_streams; i++) {
		cmd.atc.sid = master->streams[i].id;
		emit(data, &cmd);
	}
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_emit_atc);

/* An out of range number would be an illegal command. */
VISIBLE_IF_KUNIT
int arm_smmu_uapi_decode_inv(struct arm_smmu_uapi_inv *req,
			     const struct iommu_cache_invalidate_info *inv)
{
	const struct iommu_inv_pasid_info *pasid = &inv->granu.pasid_info;
	const struct iommu_inv_addr_info *addr = &inv->granu.addr_info;
	u32 archid;
	u64 ssid;

	switch (inv->granularity) {
	case IOMMU_INV_GRANU_DOMAIN:
		return 0;
	case IOMMU_INV_GRANU_PASID:
		req->has_asid = pasid->flags & IOMMU_INV_PASID_FLAGS_ARCHID;
		req->has_ssid = pasid->flags & (IOMMU_INV_PASID_FLAGS_PASID |
						IOMMU_INV_PASID_FLAGS_NO_PASID);
		archid = pasid->archid;
		ssid = pasid->flags & IOMMU_INV_PASID_FLAGS_PASID ?
		       pasid->pasid : IOMMU_NO_PASID;
		break;
	case IOMMU_INV_GRANU_ADDR:
		req->has_asid = addr->flags & IOMMU_INV_ADDR_FLAGS_ARCHID;
		req->has_ssid = addr->flags & (IOMMU_INV_ADDR_FLAGS_PASID |
					       IOMMU_INV_ADDR_FLAGS_NO_PASID);
		archid = addr->archid;
		ssid = addr->flags & IOMMU_INV_ADDR_FLAGS_PASID ?
		       addr->pasid : IOMMU_NO_PASID;
		req->has_range = true;
		req->leaf = addr->flags & IOMMU_INV_ADDR_FLAGS_LEAF;
		req->first = addr->addr;
		req->last = addr->addr + addr->granule_size * addr->nb_granules -
			    1;
		break;
	default:
		return -EINVAL;
	}

	if (req->has_asid && archid >> req->master->smmu->asid_bits)
		return -EINVAL;
	if (req->has_ssid && ssid >> req->master->ssid_bits)
		return -EINVAL;
	req->asid = req->has_asid ? archid : 0;
	req->ssid = req->has_ssid ? ssid : IOMMU_NO_PASID;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_decode_inv);

static int arm_smmu_uapi_inv_atc_once(const struct arm_smmu_uapi_inv *req)
{
	struct arm_smmu_device *smmu = req->master->smmu;
	int timeouts = atomic_read_acquire(&smmu->atc_timeouts);
	int ret = arm_smmu_uapi_issue(req, arm_smmu_uapi_emit_atc);

	/* The count changes before the queue goes on, and so the wait ends. */
	smp_rmb();
	if (!ret && timeouts != atomic_read(&smmu->atc_timeouts))
		ret = -EIO;
	return ret;
}

/*
 * The SMMU does not say which device has not answered. If it is another guest's,
 * it is very likely not asked again while this one is.
 */
static int arm_smmu_uapi_inv_atc(const struct arm_smmu_uapi_inv *req)
{
	struct arm_smmu_device *smmu = req->master->smmu;
	int ret = 0;

	if (req->master->ats_enabled) {
		down_read(&smmu->atc_lock);
		ret = arm_smmu_uapi_inv_atc_once(req);
		up_read(&smmu->atc_lock);
	}
	if (ret == -EIO) {
		down_write(&smmu->atc_lock);
		ret = arm_smmu_uapi_inv_atc_once(req);
		up_write(&smmu->atc_lock);
	}
	if (ret || req->master->ats_enabled)
		return ret;

	/*
	 * If it has no device TLB because ATS has been stopped: does the SMMU know?
	 * Pairs with the barrier in arm_smmu_uapi_stop_ats().
	 */
	smp_rmb();
	return READ_ONCE(smmu->ats_stopped) ?
	       arm_smmu_uapi_issue(req, arm_smmu_uapi_emit_ste) : 0;
}

/*
 * A device that does not answer may use what it has cached for as long as it likes,
 * and each question holds up everybody's queue. Take ATS away from it on both
 * sides, for as long as the SMMU has the device. The device need not agree: what it
 * sends by translated addresses is aborted once the SMMU has seen the new entry
 * (IHI 0070, STE.EATS), which is when any later command is done.
 */
static void arm_smmu_uapi_stop_ats(struct arm_smmu_master *master,
				   struct arm_smmu_domain *stage2)
{
	struct pci_dev *pdev = to_pci_dev(master->dev);
	struct arm_smmu_uapi_state plain, *state = &plain;

	lockdep_assert_held(&arm_smmu_asid_lock);

	if (!master->ats_enabled)
		return;
	if (master->bond)
		state = master->bond->priv;
	else
		arm_smmu_make_s2_domain_ste(&plain.ste, master, stage2, false);

	dev_err(master->dev, "device TLB does not answer, switching off ATS\n");
	down_write(&master->smmu->atc_lock);
	if (pdev->ats_enabled)
		pci_disable_ats(pdev);
	state->ste.data[1] &= cpu_to_le64(~STRTAB_STE_1_EATS);
	state->ats = false;
	arm_smmu_install_ste_for_dev(master, &state->ste);

	WRITE_ONCE(master->smmu->ats_stopped, true);
	master->ats_dead = true;
	/* Who finds nothing to invalidate below sees what is above. */
	smp_mb();
	master->ats_enabled = false;
	atomic_dec(&stage2->nr_ats_masters);
	up_write(&master->smmu->atc_lock);
}

/*
 * What a guest asks for, it may ask for again, but not for ever. No more is under way
 * at a time than one, or many would be before the first is counted. Only time makes
 * up for a failure: a device that answers now and then holds up the queue as well.
 */
static int arm_smmu_uapi_inv_guests_atc(const struct arm_smmu_uapi_inv *req,
					struct arm_smmu_domain *stage2)
{
	struct arm_smmu_master *master = req->master;
	int ret;

	mutex_lock(&master->guest_atc_lock);
	ret = arm_smmu_uapi_inv_atc(req);
	if (likely(!ret))
		goto out_unlock;

	if (time_after(jiffies, master->atc_failing_since + ATC_FORGIVE))
		master->atc_failures = 0;
	if (!master->atc_failures++)
		master->atc_failing_since = jiffies;
	if (master->atc_failures >= MAX_ATC_FAILURES) {
		mutex_lock(&arm_smmu_asid_lock);
		/* Otherwise it is attached elsewhere by now. */
		if (master->bond)
			arm_smmu_uapi_stop_ats(master, stage2);
		mutex_unlock(&arm_smmu_asid_lock);
	}

out_unlock:
	mutex_unlock(&master->guest_atc_lock);
	return ret;
}

/*
 * Each cache is done before the next one that is filled from it: descriptors,
 * TLB, device TLB.
 */
VISIBLE_IF_KUNIT
int arm_smmu_uapi_invalidate(struct iommu_uapi_bond *bond,
			     const struct iommu_cache_invalidate_info *inv)
{
	struct arm_smmu_uapi_inv req = {
		.master = dev_iommu_priv_get(bond->dev),
		.vmid = to_smmu_domain(bond->stage2)->s2_cfg.vmid,
	};
	int ret;

	ret = arm_smmu_uapi_decode_inv(&req, inv);
	if (ret)
		return ret;

	if (inv->cache & IOMMU_CACHE_INV_TYPE_PASID)
		ret = arm_smmu_uapi_issue(&req, arm_smmu_uapi_emit_cd);
	if (!ret && inv->cache & IOMMU_CACHE_INV_TYPE_IOTLB)
		ret = arm_smmu_uapi_issue(&req, arm_smmu_uapi_emit_tlb);
	if (!ret && inv->cache & IOMMU_CACHE_INV_TYPE_DEV_IOTLB)
		ret = arm_smmu_uapi_inv_guests_atc(&req,
						   to_smmu_domain(bond->stage2));
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_invalidate);

/*
 * Forget all that is cached of a guest's stage 1, in the SMMU itself. Who writes a
 * stream table entry does not look whether that has been confirmed: do it here.
 */
static int arm_smmu_uapi_flush(struct arm_smmu_master *master, u16 vmid)
{
	struct arm_smmu_uapi_inv req = { .master = master, .vmid = vmid };
	int ret, err;

	ret = arm_smmu_uapi_issue(&req, arm_smmu_uapi_emit_ste);
	err = arm_smmu_uapi_issue(&req, arm_smmu_uapi_emit_cd);
	ret = ret ?: err;
	err = arm_smmu_uapi_issue(&req, arm_smmu_uapi_emit_tlb);
	return ret ?: err;
}

/* False if the device is not attached to @stage2 */
static bool arm_smmu_uapi_set_nested(struct arm_smmu_master *master,
				     struct arm_smmu_domain *stage2, bool nested)
{
	struct arm_smmu_master_domain *master_domain;
	unsigned long flags;

	spin_lock_irqsave(&stage2->devices_lock, flags);
	master_domain = arm_smmu_find_master_domain(stage2, master,
						    IOMMU_NO_PASID);
	if (master_domain)
		master_domain->nested = nested;
	spin_unlock_irqrestore(&stage2->devices_lock, flags);
	return master_domain;
}

static void arm_smmu_uapi_set_bond(struct arm_smmu_master *master,
				   struct iommu_uapi_bond *bond)
{
	lockdep_assert_held(&arm_smmu_asid_lock);

	mutex_lock(&master->smmu->streams_mutex);
	master->bond = bond;
	mutex_unlock(&master->smmu->streams_mutex);
}

/**
 * arm_smmu_uapi_drop_bond() - The stream table entry is not the guest's any more
 * @master: device that has been attached anew
 *
 * Context: arm_smmu_asid_lock is held. The domain that it was attached to before is
 * still there, and if master->unconfirmed says so, it stays until the commands that
 * are in the queue are done.
 */
void arm_smmu_uapi_drop_bond(struct arm_smmu_master *master)
{
	struct arm_smmu_domain *stage2;

	if (!master->bond)
		return;
	stage2 = to_smmu_domain(master->bond->stage2);
	if (arm_smmu_uapi_flush(master, stage2->s2_cfg.vmid))
		WRITE_ONCE(master->unconfirmed, true);
	arm_smmu_uapi_set_bond(master, NULL);
}

/*
 * EATS is in another word than Config: going from one to the other in two steps
 * spares transactions under way an invalid entry in between. False if @from and
 * @to do not differ in EATS.
 */
VISIBLE_IF_KUNIT
bool arm_smmu_uapi_make_step(struct arm_smmu_ste *step,
			     const struct arm_smmu_uapi_state *from,
			     const struct arm_smmu_uapi_state *to)
{
	*step = from->ats ? from->ste : to->ste;
	step->data[1] &= cpu_to_le64(~STRTAB_STE_1_EATS);
	return from->ats != to->ats;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_make_step);

static void arm_smmu_uapi_write_ste(struct arm_smmu_master *master,
				    const struct arm_smmu_uapi_state *from,
				    const struct arm_smmu_uapi_state *to)
{
	struct arm_smmu_ste step;

	if (arm_smmu_uapi_make_step(&step, from, to))
		arm_smmu_install_ste_for_dev(master, &step);
	arm_smmu_install_ste_for_dev(master, &to->ste);
}

/*
 * A reset beside this that has still seen ATS on brings it back at any time, in the
 * device alone. Look there as well.
 */
static void arm_smmu_uapi_disable_ats(struct pci_dev *pdev)
{
	int reg = pdev->ats_cap + PCI_ATS_CTRL;
	u16 ctrl;

	if (pdev->ats_enabled)
		pci_disable_ats(pdev);
	pci_read_config_word(pdev, reg, &ctrl);
	if (ctrl & PCI_ATS_CTRL_ENABLE)
		pci_write_config_word(pdev, reg, ctrl & ~PCI_ATS_CTRL_ENABLE);
}

/*
 * Change the stream table entry. As in an attach, ATS of the device is off
 * whenever EATS is, and invalidations reach the device TLB by both kinds of
 * address while it may have entries of both. Between two entries that both have
 * ATS, it is off in the device for a moment: it uses nothing of what it had cached
 * then, and has forgotten it when ATS is on again (PCIe 6.0, "Implicit Invalidation
 * Events"), unless a reset has brought ATS back in the meantime. So make sure that
 * it is off before either step. That needs no answer, which a device in a low power
 * state, say, would not give, or give wrongly. Nobody else asks either, until ATS is
 * what ats_enabled says: a device need not answer while ATS is off.
 *
 * On an error the entry is @to's, but without ATS, and the hardware may have @from
 * until the commands that are in the queue are done.
 */
static int arm_smmu_uapi_install(struct arm_smmu_master *master,
				 struct arm_smmu_domain *stage2,
				 const struct arm_smmu_uapi_state *from,
				 struct arm_smmu_uapi_state *to)
{
	bool has_ats = from->ats || to->ats;
	struct pci_dev *pdev = has_ats ? to_pci_dev(master->dev) : NULL;
	int ret;

	lockdep_assert_held(&arm_smmu_asid_lock);

	if (has_ats)
		down_write(&master->smmu->atc_lock);
	arm_smmu_uapi_set_nested(master, stage2, from->nested || to->nested);
	if (to->ats && !from->ats)
		atomic_inc(&stage2->nr_ats_masters);
	if (has_ats) {
		arm_smmu_uapi_disable_ats(pdev);
		/* Before transactions that were translated become errors */
		wmb();
	}

	arm_smmu_uapi_write_ste(master, from, to);
	ret = arm_smmu_uapi_flush(master, stage2->s2_cfg.vmid);
	if (has_ats)
		arm_smmu_uapi_disable_ats(pdev);

	if (to->ats) {
		/* Before there is something to invalidate when it is unmapped */
		master->ats_enabled = true;
		if (!ret && pci_enable_ats(pdev, __ffs(master->smmu->pgsize_bitmap)))
			ret = -EIO;
		if (ret) {
			to->ats = false;
			to->ste.data[1] &= cpu_to_le64(~STRTAB_STE_1_EATS);
			arm_smmu_install_ste_for_dev(master, &to->ste);
		}
	}
	master->ats_enabled = to->ats;
	if (has_ats && !to->ats)
		atomic_dec(&stage2->nr_ats_masters);
	if (!ret)
		arm_smmu_uapi_set_nested(master, stage2, to->nested);
	if (has_ats)
		up_write(&master->smmu->atc_lock);
	return ret;
}

/* Stage 2 alone, as the device was attached */
static void arm_smmu_uapi_stage2_state(struct arm_smmu_uapi_state *state,
				       struct arm_smmu_master *master,
				       struct arm_smmu_domain *stage2, bool ats)
{
	arm_smmu_make_s2_domain_ste(&state->ste, master, stage2, ats);
	state->nested = false;
	state->ats = ats;
}

static int arm_smmu_uapi_bind_locked(struct iommu_uapi_bond *bond,
				     struct arm_smmu_master *master,
				     const struct iommu_pasid_table_config *cfg)
{
	struct arm_smmu_domain *stage2 = to_smmu_domain(bond->stage2);
	struct arm_smmu_uapi_state from, to = {}, *state = bond->priv;
	struct iommu_uapi_bond *old = master->bond;
	int ret;

	lockdep_assert_held(&arm_smmu_asid_lock);

	if (!arm_smmu_uapi_set_nested(master, stage2, old && state->nested))
		return -ENODEV;

	if (old)
		from = *state;
	else
		arm_smmu_uapi_stage2_state(&from, master, stage2,
					   master->ats_enabled);

	to.nested = cfg->config == IOMMU_PASID_CONFIG_TRANSLATE;
	/*
	 * Behind a stage 1, only the guest knows what to invalidate in the
	 * device TLB: without its promise to do so there must be none.
	 */
	to.ats = cfg->config != IOMMU_PASID_CONFIG_ABORT &&
		 (!to.nested || cfg->flags & IOMMU_PASID_TABLE_DEVTLB) &&
		 arm_smmu_ats_supported(master);
	arm_smmu_uapi_make_ste(&to.ste, master, stage2, cfg, to.ats);

	arm_smmu_uapi_set_bond(master, bond);
	ret = arm_smmu_uapi_install(master, stage2, &from, &to);
	if (ret) {
		/* The hardware has not confirmed: nobody may rely on it. */
		arm_smmu_uapi_install(master, stage2, &to, &from);
		arm_smmu_uapi_set_bond(master, old);
		/* ATS may not have come back. */
		if (old)
			*state = from;
		/* The guest's table may have been used. */
		else
			master->evt_left = true;
		return ret;
	}
	*state = to;
	return 0;
}

/**
 * arm_smmu_uapi_inv_atc_stage2() - Invalidate device TLBs after an unmap
 * @stage2: domain that may have guests' tables on top
 * @iova: guest-physical address
 * @size: number of bytes
 *
 * An unmap cannot fail, and what was mapped belongs to somebody else after it.
 * ATS of a device that does not answer is switched off.
 *
 * Context: may sleep. Who unmaps memory from such a domain, which is to say VFIO,
 * does not do so twice at a time, and does not hold arm_smmu_asid_lock.
 */
void arm_smmu_uapi_inv_atc_stage2(struct arm_smmu_domain *stage2,
				  unsigned long iova, size_t size)
{
	struct arm_smmu_master_domain *master_domain;
	struct arm_smmu_device *smmu = stage2->smmu;
	int timeouts, ret = 0;

	might_sleep();

	/* After the TLB invalidation: see arm_smmu_atc_inv_domain() */
	smp_mb();
	if (atomic_read(&stage2->nr_ats_masters)) {
		down_read(&smmu->atc_lock);
		timeouts = atomic_read_acquire(&smmu->atc_timeouts);
		ret = arm_smmu_atc_inv_domain(stage2, iova, size);
		/* The count changes before the queue goes on: the wait ends. */
		smp_rmb();
		if (timeouts != atomic_read(&smmu->atc_timeouts))
			ret = -EIO;
		up_read(&smmu->atc_lock);
	}

	if (unlikely(ret)) {
		/* Whoever has not answered, each device is asked alone now. */
		arm_smmu_cmdq_wait(smmu);
		/* The list of devices changes under this lock only. */
		mutex_lock(&arm_smmu_asid_lock);
		list_for_each_entry(master_domain, &stage2->devices,
				    devices_elm) {
			struct arm_smmu_uapi_inv all = {
				.master = master_domain->master,
			};

			if (arm_smmu_uapi_inv_atc(&all))
				arm_smmu_uapi_stop_ats(all.master, stage2);
		}
		mutex_unlock(&arm_smmu_asid_lock);
	}

	/* A device that has lost it is not counted, but flagged first. */
	smp_rmb();
	if (READ_ONCE(smmu->ats_stopped))
		arm_smmu_cmdq_wait(smmu);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_inv_atc_stage2);

/* Has the event thread come past the event before the index @prod? */
VISIBLE_IF_KUNIT
bool arm_smmu_uapi_evtq_passed(const struct arm_smmu_queue *q,
			       u32 handled, u32 prod)
{
	u32 size = 1U << q->llq.max_n_shift;
	u32 left = (prod - handled) & (2 * size - 1);

	return !left || left > size;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_evtq_passed);

/*
 * Wait until the events that are in the queue now have been handled: the next one
 * to bind the device must not read about this one's addresses. Bounded, since the
 * queue is everybody's. False if there are still some.
 */
static bool arm_smmu_uapi_drain_evtq(struct arm_smmu_device *smmu)
{
	struct arm_smmu_queue *q = &smmu->evtq.q;
	u32 handled, prod = readl(q->prod_reg);

	/* Without an interrupt nobody looks at the queue. */
	if (!q->irq && !smmu->combined_irq)
		return true;
	return !read_poll_timeout(READ_ONCE, handled,
				  arm_smmu_uapi_evtq_passed(q, handled, prod),
				  EVTQ_DRAIN_POLL_US, EVTQ_DRAIN_TIMEOUT_US,
				  false, smmu->evtq.handled);
}

static int arm_smmu_uapi_bind_pasid_table(struct iommu_uapi_bond *bond,
					  const struct iommu_pasid_table_config *cfg)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(bond->dev);
	struct arm_smmu_uapi_state *state = bond->priv;
	bool first = !state;
	int ret;

	/* Whether the administrator allows it has been asked for the information */
	if (!arm_smmu_uapi_can_nest_on(master, to_smmu_domain(bond->stage2),
				       true))
		return -EOPNOTSUPP;
	ret = arm_smmu_uapi_check_config(master, cfg);
	if (ret)
		return ret;
	/* They would be taken for events of this one: of who had it before, too. */
	if (master->evt_left) {
		if (!arm_smmu_uapi_drain_evtq(master->smmu))
			return -EBUSY;
		master->evt_left = false;
	}

	if (first) {
		state = kzalloc(sizeof(*state), GFP_KERNEL_ACCOUNT);
		if (!state)
			return -ENOMEM;
		bond->priv = state;
	}

	mutex_lock(&arm_smmu_asid_lock);
	ret = arm_smmu_uapi_bind_locked(bond, master, cfg);
	mutex_unlock(&arm_smmu_asid_lock);

	if (ret) {
		arm_smmu_cmdq_wait(master->smmu);
		arm_smmu_uapi_set_nested(master, to_smmu_domain(bond->stage2),
					 !first && state->nested);
	}
	if (ret && first) {
		bond->priv = NULL;
		kfree(state);
	}
	return ret;
}

static void arm_smmu_uapi_unbind(struct iommu_uapi_bond *bond)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(bond->dev);
	struct arm_smmu_domain *stage2 = to_smmu_domain(bond->stage2);
	struct arm_smmu_uapi_state to, *state = bond->priv;
	int ret = 0;

	mutex_lock(&arm_smmu_asid_lock);
	if (master->bond) {
		arm_smmu_uapi_stage2_state(&to, master, stage2,
					   arm_smmu_ats_supported(master));
		ret = arm_smmu_uapi_install(master, stage2, state, &to);
		/* An unmap may still look at it. */
		*state = to;
	}
	mutex_unlock(&arm_smmu_asid_lock);

	if (ret) {
		dev_err_ratelimited(bond->dev,
				    "waiting until a guest's table is forgotten\n");
		arm_smmu_cmdq_wait(master->smmu);
		arm_smmu_uapi_set_nested(master, stage2, false);
	}
	if (!arm_smmu_uapi_drain_evtq(master->smmu))
		master->evt_left = true;

	mutex_lock(&arm_smmu_asid_lock);
	if (master->bond)
		arm_smmu_uapi_set_bond(master, NULL);
	mutex_unlock(&arm_smmu_asid_lock);

	kfree(state);
	bond->priv = NULL;
}

/* Faults of the walk through the guest's structures, and of their result */
static bool arm_smmu_uapi_decode_fault(const u64 *evt,
				       struct iommu_fault_unrecoverable *event)
{
	u8 class = FIELD_GET(EVTQ_1_CLASS, evt[1]);
	bool s2 = evt[1] & EVTQ_1_S2;

	if (class == EVTQ_1_CLASS_CD || class == EVTQ_1_CLASS_TT) {
		/* Stage 2 has nothing where the guest says its structure is. */
		event->reason = class == EVTQ_1_CLASS_CD ?
				IOMMU_FAULT_REASON_PASID_FETCH :
				IOMMU_FAULT_REASON_WALK_EABT;
		if (s2) {
			event->flags |= IOMMU_FAULT_UNRECOV_FETCH_ADDR_VALID;
			event->fetch_addr = evt[3] & EVTQ_3_IPA;
		}
		return true;
	}
	/* What is mapped for the guest is between the VMM and the host. */
	if (class != EVTQ_1_CLASS_IN || s2)
		return false;

	switch (FIELD_GET(EVTQ_0_ID, evt[0])) {
	case EVT_ID_TRANSLATION_FAULT:
		event->reason = IOMMU_FAULT_REASON_PTE_FETCH;
		return true;
	case EVT_ID_ADDR_SIZE_FAULT:
		event->reason = IOMMU_FAULT_REASON_OOR_ADDRESS;
		return true;
	case EVT_ID_ACCESS_FAULT:
		event->reason = IOMMU_FAULT_REASON_ACCESS;
		return true;
	default:
		event->reason = IOMMU_FAULT_REASON_PERMISSION;
		return true;
	}
}

/*
 * Make a fault record of an event. False if the event is not the guest's.
 * Addresses of structures that stage 2 has translated are the host's: they are
 * not told.
 */
VISIBLE_IF_KUNIT
bool arm_smmu_uapi_decode_evt(const u64 *evt,
			      struct iommu_fault_unrecoverable *event)
{
	bool has_input = true;

	*event = (struct iommu_fault_unrecoverable) {};

	switch (FIELD_GET(EVTQ_0_ID, evt[0])) {
	case EVT_ID_STREAM_DISABLED:
	case EVT_ID_BAD_SUBSTREAMID:
		event->reason = IOMMU_FAULT_REASON_PASID_INVALID;
		has_input = false;
		break;
	case EVT_ID_CD_FETCH:
		event->reason = IOMMU_FAULT_REASON_PASID_FETCH;
		has_input = false;
		break;
	case EVT_ID_BAD_CD:
		event->reason = IOMMU_FAULT_REASON_BAD_PASID_ENTRY;
		has_input = false;
		break;
	case EVT_ID_WALK_EABT:
		if (evt[1] & EVTQ_1_S2)
			return false;
		event->reason = IOMMU_FAULT_REASON_WALK_EABT;
		break;
	case EVT_ID_TRANSLATION_FAULT:
	case EVT_ID_ADDR_SIZE_FAULT:
	case EVT_ID_ACCESS_FAULT:
	case EVT_ID_PERMISSION_FAULT:
		if (!arm_smmu_uapi_decode_fault(evt, event))
			return false;
		break;
	default:
		return false;
	}

	if (evt[0] & EVTQ_0_SSV) {
		event->flags |= IOMMU_FAULT_UNRECOV_PASID_VALID;
		event->pasid = FIELD_GET(EVTQ_0_SSID, evt[0]);
	}
	if (!has_input)
		return true;

	event->flags |= IOMMU_FAULT_UNRECOV_ADDR_VALID;
	event->addr = FIELD_GET(EVTQ_2_ADDR, evt[2]);
	event->perm = evt[1] & EVTQ_1_RnW ? IOMMU_FAULT_PERM_READ :
					    IOMMU_FAULT_PERM_WRITE;
	if (evt[1] & EVTQ_1_InD)
		event->perm |= IOMMU_FAULT_PERM_EXEC;
	if (evt[1] & EVTQ_1_PnU)
		event->perm |= IOMMU_FAULT_PERM_PRIV;
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_decode_evt);

/**
 * arm_smmu_uapi_handle_evt() - Give an event to the guest if it is the guest's
 * @master: device with a bond; the caller holds streams_mutex
 * @evt: the event
 *
 * Return: 0 if the event is done with, -EOPNOTSUPP if the host is to report it
 */
int arm_smmu_uapi_handle_evt(struct arm_smmu_master *master, const u64 *evt)
{
	struct iommu_fault_unrecoverable event;

	lockdep_assert_held(&master->smmu->streams_mutex);

	if (!arm_smmu_uapi_decode_evt(evt, &event))
		return -EOPNOTSUPP;
	/* Whether there is a reader, and room, is the guest's affair. */
	iommu_uapi_report_unrecoverable(master->bond, &event);
	return 0;
}

/**
 * arm_smmu_uapi_lost_evts() - The event queue was full, and events were lost
 * @smmu: the SMMU
 *
 * Nobody knows whose: each guest is told that some may have been its own.
 *
 * Context: may sleep
 */
void arm_smmu_uapi_lost_evts(struct arm_smmu_device *smmu)
{
	struct arm_smmu_stream *stream;
	struct rb_node *node;

	mutex_lock(&smmu->streams_mutex);
	for (node = rb_first(&smmu->streams); node; node = rb_next(node)) {
		stream = rb_entry(node, struct arm_smmu_stream, node);
		/* Once for each device */
		if (stream->master->bond && stream == stream->master->streams)
			iommu_uapi_report_lost(stream->master->bond);
	}
	mutex_unlock(&smmu->streams_mutex);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_lost_evts);

const struct iommu_uapi_ops arm_smmu_uapi_ops = {
	.info			= arm_smmu_uapi_info,
	.info_merge		= arm_smmu_uapi_info_merge,
	.bind_pasid_table	= arm_smmu_uapi_bind_pasid_table,
	.unbind			= arm_smmu_uapi_unbind,
	.invalidate		= arm_smmu_uapi_invalidate,
};
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_uapi_ops);
