// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-d: guest page tables on behalf of user space
 *
 * A guest's first-stage page table is put on top of the domain that the device's
 * group is attached to, the second stage, by a nested domain in the PASID table
 * entry of the bond's PASID. The requests without PASID have entry 0, RID_PASID.
 *
 * Who trusts whom: all that comes from the guest is addresses in its own memory,
 * which the hardware reads through the second stage, and numbers that are checked
 * here. Descriptors are built from fields, with the domain id of the nested domain
 * and the source id of the device, so a guest reaches the caches of no other. No
 * descriptor can be invalid, for an invalid one would stop the queue of all.
 *
 * Second stage: what hardware has cached of both stages together has the domain
 * id of the nested domain. cache_tag_assign_domain() has given the parent a tag
 * for it, so an unmap of the second stage reaches it in the IOTLB, and all that a
 * device TLB has of the PASID. Tags are there from before the first entry can be
 * cached to after the last one is flushed.
 *
 * Erratum 772415 (SPR17): second-stage mappings without write permission are unsafe
 * under nesting. The driver's map operation refuses them in every nest parent, so
 * there is nothing to report to the guest.
 *
 * Domain ids: a nested domain has one of its own on its unit, since what is cached
 * is tagged by domain id and PASID, not by device: two devices with different
 * tables for one PASID must not share one. The host keeps a quarter of all ids
 * for itself (domain_attach_iommu()), and one second stage gets at most another
 * quarter.
 *
 * Lifetimes:
 *
 * bond->priv is in the two hash tables from before the guest's table is in the
 * PASID table entry until after it has been taken out, page requests have been
 * drained, and what is in the fault log has been read. Then no fault names the bond
 * any more.
 *
 * info->ats_users is not zero while the device has bonds: ATS stays on when the
 * requests without PASID change between their second stage and a guest's table,
 * since PASIDs and page requests need it.
 *
 * Locks, outermost first:
 *
 *   the core's udev->lock	held for writing by bind and unbind, for reading
 *				by invalidate
 *   group->mutex		in iommu_uapi_attach_domain() and _detach_domain():
 *				PASID table entries, ats_enabled
 *   iommu->prq_drain_lock	one drain on each unit
 *   iommu->iopf_lock		held by the page request thread while it reports
 *   s2_domain->s1_lock		list of what is nested on a domain
 *   intel_uapi_drain_lock	one process at a time reads the fault log
 *   intel_uapi_lock		raw, taken in hard interrupt context: hash tables,
 *				and held while a fault is reported
 *   the core's udev->fault_lock	raw, a leaf
 *
 * An invalidation takes none of these but udev->lock, and the queue's own lock. It
 * allocates nothing.
 */
#include <linux/bitfield.h>
#include <linux/dmar.h>
#include <linux/hashtable.h>
#include <linux/interrupt.h>
#include <linux/pci-ats.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <kunit/visibility.h>

#include "uapi.h"
#include "pasid.h"

/*
 * What a guest may see of the capability registers: properties of first-stage
 * translation and of invalidations, as far as they hold for it. What the second
 * stage is made of, how many domain ids there are, interrupt remapping and the rest
 * is between the VMM and its guest. Not for guests, although they are about PASIDs:
 * second stage (SLTS, SLADS) and nesting (NEST) within their own, execute requests
 * (ERS, which the host does not enable), RID_PASID (RPS, the host's choice), device
 * TLB throttling (DIT, about the host's source ids).
 */
#define CAP_MGAW	GENMASK_ULL(21, 16)
#define CAP_MAMV	GENMASK_ULL(53, 48)
#define CAP_GUEST	(BIT_ULL(22) |	/* ZLR */	\
			 BIT_ULL(39) |	/* PSI */	\
			 BIT_ULL(54) |	/* DWD */	\
			 BIT_ULL(55) |	/* DRD */	\
			 BIT_ULL(56) |	/* FS1GP */	\
			 BIT_ULL(60))	/* FS5LP */

#define ECAP_DT		BIT_ULL(2)
#define ECAP_PRS	BIT_ULL(29)
#define ECAP_PSS	GENMASK_ULL(39, 35)
#define ECAP_PASID	BIT_ULL(40)
#define ECAP_PDS	BIT_ULL(42)
#define ECAP_GUEST	(BIT_ULL(31) |	/* SRS */	\
			 BIT_ULL(33) |	/* NWFS */	\
			 BIT_ULL(34) |	/* EAFS */	\
			 BIT_ULL(43) |	/* SMTS */	\
			 BIT_ULL(47) |	/* FLTS */	\
			 BIT_ULL(48))	/* SMPWC */

/* Fault record: VT-d 4.1 section 11.4.7.6, the upper half of the 128 bits */
#define FRCD_SID	GENMASK_ULL(15, 0)
#define FRCD_T2		BIT_ULL(28)
#define FRCD_PRIV	BIT_ULL(29)
#define FRCD_EXE	BIT_ULL(30)
#define FRCD_PP		BIT_ULL(31)
#define FRCD_FR		GENMASK_ULL(39, 32)
#define FRCD_PV		GENMASK_ULL(59, 40)
#define FRCD_T1		BIT_ULL(62)

/*
 * How many invalidations of a device may time out within what time before it loses
 * its TLB: everybody else who uses the unit waits with each of them. Those that it
 * answers in between do not count, or it would have as many again for one of them.
 */
#define INTEL_UAPI_MAX_TIMEOUTS	16
#define INTEL_UAPI_TIMEOUTS_PER	(3600 * HZ)

struct intel_uapi_bond {
	struct hlist_node by_pasid;
	struct hlist_node by_dev;
	struct iommu_uapi_bond *bond;
	struct intel_iommu *iommu;
	u16 sid;
	u16 did;
};

static DEFINE_MUTEX(intel_uapi_drain_lock);
static DEFINE_RAW_SPINLOCK(intel_uapi_lock);
static DEFINE_HASHTABLE(intel_uapi_by_pasid, 8);
static DEFINE_HASHTABLE(intel_uapi_by_dev, 6);

/**
 * intel_uapi_mask_caps() - Compute what a guest may see of the registers
 * @vtd: where to
 * @cap: capability register
 * @ecap: extended capability register
 * @pasid_bits: PASID bits that the guest can use; zero: no PASIDs
 * @ats: the device's TLB is in use
 * @page_requests: page requests reach the guest
 */
VISIBLE_IF_KUNIT
void intel_uapi_mask_caps(struct iommu_nesting_info_vtd *vtd, u64 cap, u64 ecap,
			  unsigned int pasid_bits, bool ats, bool page_requests)
{
	u64 guest = ECAP_GUEST;

	if (ats)
		guest |= ECAP_DT;
	if (page_requests)
		guest |= ECAP_PRS | ECAP_PDS;
	if (pasid_bits)
		guest |= ECAP_PASID;

	vtd->flags = IOMMU_NESTING_INFO_VTD_VALID;
	vtd->cap = cap & (CAP_GUEST | CAP_MGAW | CAP_MAMV);
	vtd->ecap = ecap & guest;
	if (vtd->ecap & ECAP_PASID)
		vtd->ecap |= FIELD_PREP(ECAP_PSS, pasid_bits - 1);
}

/* The smaller of a field's values */
static u64 merge_field(u64 a, u64 b, u64 mask)
{
	return min(a & mask, b & mask);
}

/**
 * intel_uapi_info_merge() - Reduce to what holds for two devices
 * @into: what is known so far
 * @other: what holds for another device
 */
VISIBLE_IF_KUNIT
void intel_uapi_info_merge(struct iommu_nesting_info *into,
			   const struct iommu_nesting_info *other)
{
	struct iommu_nesting_info_vtd *a = &into->vendor.vtd;
	const struct iommu_nesting_info_vtd *b = &other->vendor.vtd;

	a->cap = (a->cap & b->cap & CAP_GUEST) |
		 merge_field(a->cap, b->cap, CAP_MGAW) |
		 merge_field(a->cap, b->cap, CAP_MAMV);
	a->ecap = (a->ecap & b->ecap & ~ECAP_PSS) |
		  merge_field(a->ecap, b->ecap, ECAP_PSS);
}

/* Whether a unit, whatever the others do, translates in two stages */
VISIBLE_IF_KUNIT
bool intel_uapi_unit_nests(const struct intel_iommu *iommu)
{
	return iommu->qi && nested_supported(iommu) && ecap_flts(iommu->ecap) &&
	       ecap_slts(iommu->ecap);
}
EXPORT_SYMBOL_IF_KUNIT(intel_uapi_unit_nests);

static bool intel_uapi_supported(struct device *dev, struct iommu_domain *stage2)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	return dev_is_pci(dev) && info->pasid_table &&
	       pci_real_dma_dev(to_pci_dev(dev)) == to_pci_dev(dev) &&
	       intel_uapi_unit_nests(info->iommu) && intel_is_nest_parent(stage2);
}

/* What intel_iommu_enable_iopf() will ask for */
static bool intel_uapi_has_page_requests(struct device_domain_info *info)
{
	return info->ats_enabled && info->pri_supported && !info->pri_enabled &&
	       info->iommu->iopf_queue &&
	       (!info->pasid_enabled ||
		pci_prg_resp_pasid_required(to_pci_dev(info->dev)));
}

static int intel_uapi_info(struct device *dev, struct iommu_domain *stage2,
			   struct iommu_nesting_info *info)
{
	struct device_domain_info *dinfo = dev_iommu_priv_get(dev);
	struct intel_iommu *iommu = dinfo->iommu;
	bool page_requests;

	if (!intel_uapi_supported(dev, stage2))
		return -EOPNOTSUPP;
	page_requests = intel_uapi_has_page_requests(dinfo);

	info->format = IOMMU_PASID_FORMAT_INTEL_VTD;
	info->features = IOMMU_NESTING_FEAT_BIND_PGTBL |
			 IOMMU_NESTING_FEAT_CACHE_INVLD;
	if (page_requests)
		info->features |= IOMMU_NESTING_FEAT_PAGE_REQUEST;
	/* A PASID that could not be enabled is not sent, whatever is bound. */
	if (dinfo->pasid_enabled) {
		info->features |= IOMMU_NESTING_FEAT_SYSWIDE_PASID;
		info->pasid_bits = min3((int)ecap_pss(iommu->ecap) + 1,
					fls(intel_pasid_max_id) - 1,
					fls(dev->iommu->max_pasids) - 1);
	}
	info->addr_width = cap_fl5lp_support(iommu->cap) ? ADDR_WIDTH_5LEVEL :
							   ADDR_WIDTH_4LEVEL;
	/* The invalidation of a device TLB that is not there is done at once. */
	info->caches = IOMMU_CACHE_INV_TYPE_IOTLB |
		       IOMMU_CACHE_INV_TYPE_DEV_IOTLB |
		       IOMMU_CACHE_INV_TYPE_PASID;
	info->granularities = BIT(IOMMU_INV_GRANU_DOMAIN) |
			      BIT(IOMMU_INV_GRANU_PASID) |
			      BIT(IOMMU_INV_GRANU_ADDR);
	intel_uapi_mask_caps(&info->vendor.vtd, iommu->cap, iommu->ecap,
			     info->pasid_bits, dinfo->ats_enabled,
			     page_requests);
	return 0;
}

/* Larger blocks are all there is, for which there is a granularity. */
#define INTEL_UAPI_MAX_ORDER	(MAX_AGAW_PFN_WIDTH - 1)

struct intel_uapi_block {
	u64 pfn;
	unsigned int order;
};

/*
 * Cover the pages from @first to @last by naturally aligned blocks of at most
 * 2^@max_order pages: exactly if a few suffice, otherwise by one that is larger
 * than needed. Returns their number; zero if there is no such block, so that
 * everything must go.
 */
static unsigned int intel_uapi_split(struct intel_uapi_block *blocks,
				     u64 first, u64 last,
				     unsigned int max_order)
{
	unsigned int order, n = 0;
	u64 pfn = first;

	while (n < INTEL_UAPI_MAX_BLOCKS) {
		order = min3((unsigned int)__fls(last - pfn + 1),
			     pfn ? (unsigned int)__ffs64(pfn) : max_order,
			     max_order);
		blocks[n].pfn = pfn;
		blocks[n++].order = order;
		pfn += BIT_ULL(order);
		if (pfn > last)
			return n;
	}

	order = fls64(first ^ last);
	if (order > max_order)
		return 0;
	blocks[0].pfn = first & ~(BIT_ULL(order) - 1);
	blocks[0].order = order;
	return 1;
}

/* As intel_uapi_split(); zero also if the request is not about addresses */
static unsigned int
intel_uapi_get_blocks(struct intel_uapi_block *blocks,
		      const struct iommu_cache_invalidate_info *inv,
		      unsigned int max_order)
{
	const struct iommu_inv_addr_info *addr = &inv->granu.addr_info;
	u64 last;

	if (inv->granularity != IOMMU_INV_GRANU_ADDR)
		return 0;
	/* The copy step has made sure that this does not overflow. */
	last = addr->addr + (addr->granule_size * addr->nb_granules - 1);
	return intel_uapi_split(blocks, addr->addr >> VTD_PAGE_SHIFT,
				last >> VTD_PAGE_SHIFT, max_order);
}

static unsigned int
intel_uapi_make_iotlb(struct qi_desc *descs,
		      const struct intel_uapi_target *target,
		      const struct iommu_cache_invalidate_info *inv)
{
	struct intel_uapi_block blocks[INTEL_UAPI_MAX_BLOCKS];
	unsigned int i, n = 0;
	bool leaf;

	/* By VT-d 4.1 section 11.4.2 first-stage invalidations have no such limits. */
	if (cap_pgsel_inv(target->cap))
		n = intel_uapi_get_blocks(blocks, inv,
					  min(cap_max_amask_val(target->cap),
					      INTEL_UAPI_MAX_ORDER));
	if (!n) {
		qi_desc_piotlb(target->did, target->pasid, 0, -1, false, descs);
		return 1;
	}

	leaf = inv->granu.addr_info.flags & IOMMU_INV_ADDR_FLAGS_LEAF;
	for (i = 0; i < n; i++)
		qi_desc_piotlb(target->did, target->pasid,
			       blocks[i].pfn << VTD_PAGE_SHIFT,
			       BIT_ULL(blocks[i].order), leaf, &descs[i]);
	return n;
}

static unsigned int
intel_uapi_make_dev_tlb(struct qi_desc *descs,
			const struct intel_uapi_target *target,
			const struct iommu_cache_invalidate_info *inv)
{
	struct intel_uapi_block blocks[INTEL_UAPI_MAX_BLOCKS];
	unsigned int i, n;

	n = intel_uapi_get_blocks(blocks, inv, MAX_AGAW_PFN_WIDTH);
	if (!n) {
		blocks[0].pfn = 0;
		blocks[0].order = MAX_AGAW_PFN_WIDTH;
		n = 1;
	}
	for (i = 0; i < n; i++) {
		u64 addr = blocks[i].pfn << VTD_PAGE_SHIFT;

		if (target->pasid == IOMMU_NO_PASID)
			qi_desc_dev_iotlb(target->sid, target->pfsid,
					  target->qdep, addr, blocks[i].order,
					  &descs[i]);
		else
			qi_desc_dev_iotlb_pasid(target->sid, target->pfsid,
						target->pasid, target->qdep,
						addr, blocks[i].order,
						&descs[i]);
	}
	if (target->twice) {
		memcpy(&descs[n], descs, n * sizeof(*descs));
		n *= 2;
	}
	return n;
}

/* What follows is not looked at before what precedes is done. */
static unsigned int intel_uapi_make_fence(struct qi_desc *desc)
{
	desc->qw0 = QI_IWD_FENCE | QI_IWD_TYPE;
	return 1;
}

/**
 * intel_uapi_make_descs() - Make the descriptors of an invalidation request
 * @descs: room for INTEL_UAPI_MAX_DESCS of them
 * @target: whose caches it is for
 * @inv: which caches, and of what; has passed the copy step
 *
 * Each cache is done before the next one that is filled from it: PASID cache,
 * IOTLB, device TLB (VT-d 4.1 section 6.5.3.3).
 *
 * Return: number of descriptors; zero if the caches asked for do not exist
 */
VISIBLE_IF_KUNIT
unsigned int intel_uapi_make_descs(struct qi_desc *descs,
				   const struct intel_uapi_target *target,
				   const struct iommu_cache_invalidate_info *inv)
{
	unsigned int n = 0;

	memset(descs, 0, INTEL_UAPI_MAX_DESCS * sizeof(*descs));

	if (inv->cache & IOMMU_CACHE_INV_TYPE_PASID)
		descs[n++].qw0 = QI_PC_DID(target->did) |
				 QI_PC_GRAN(QI_PC_PASID_SEL) |
				 QI_PC_PASID(target->pasid) | QI_PC_TYPE;
	if (inv->cache & IOMMU_CACHE_INV_TYPE_IOTLB) {
		if (n)
			n += intel_uapi_make_fence(&descs[n]);
		n += intel_uapi_make_iotlb(&descs[n], target, inv);
	}
	if (inv->cache & IOMMU_CACHE_INV_TYPE_DEV_IOTLB && target->ats) {
		if (n)
			n += intel_uapi_make_fence(&descs[n]);
		n += intel_uapi_make_dev_tlb(&descs[n], target, inv);
	}
	return n;
}

/* qi_submit_sync() puts one in the place of what has timed out. */
static unsigned int intel_uapi_count_waits(const struct qi_desc *descs,
					   unsigned int n)
{
	unsigned int i, waits = 0;

	for (i = 0; i < n; i++)
		waits += (descs[i].qw0 & GENMASK_ULL(3, 0)) == QI_IWD_TYPE;
	return waits;
}

/* Asks a device only if there is reason to: on a bus that is broken, that takes time. */
static bool intel_uapi_is_gone(struct device_domain_info *info)
{
	struct pci_dev *pdev = to_pci_dev(info->dev);

	if (!atomic_read(&info->inv_timeouts) && !READ_ONCE(info->ats_dead))
		return pci_dev_is_disconnected(pdev);
	return !pci_device_is_present(pdev);
}

/*
 * An invalidation has timed out: was it one too many? Two at once that begin to count
 * anew may both be the first.
 */
static bool intel_uapi_timed_out(struct device_domain_info *info)
{
	if (time_after(jiffies, READ_ONCE(info->inv_since) +
				INTEL_UAPI_TIMEOUTS_PER)) {
		WRITE_ONCE(info->inv_since, jiffies);
		atomic_set(&info->inv_timeouts, 0);
	}
	return atomic_inc_return(&info->inv_timeouts) >= INTEL_UAPI_MAX_TIMEOUTS;
}

static int intel_uapi_invalidate(struct iommu_uapi_bond *bond,
				 const struct iommu_cache_invalidate_info *inv)
{
	struct device_domain_info *info = dev_iommu_priv_get(bond->dev);
	struct intel_uapi_bond *ib = bond->priv;
	struct intel_iommu *iommu = ib->iommu;
	struct intel_uapi_target target = {
		.cap = iommu->cap,
		.did = ib->did,
		.pasid = bond->pasid,
		.sid = ib->sid,
		.pfsid = info->pfsid,
		.qdep = info->ats_qdep,
		.ats = !dev_tlb_is_off(info),
		.twice = info->dtlb_extra_inval,
	};
	bool dev_tlb = inv->cache & IOMMU_CACHE_INV_TYPE_DEV_IOTLB;
	struct qi_desc descs[INTEL_UAPI_MAX_DESCS];
	unsigned int n, waits;
	int ret;

	/* Nobody would tell that it has not been done. */
	if (!iommu->qi || !(iommu->gcmd & DMA_GCMD_TE))
		return -EIO;

	/* Spares everybody the time-out */
	if (dev_tlb && info->ats_enabled && intel_uapi_is_gone(info))
		return -EIO;

again:
	n = intel_uapi_make_descs(descs, &target, inv);
	waits = intel_uapi_count_waits(descs, n);
	ret = n ? qi_submit_sync(iommu, descs, n, QI_OPT_BOUNDED) : 0;
	/* A reset may have brought ATS back before the IOTLB was done. */
	if (!ret && dev_tlb && !target.ats && !dev_tlb_is_off(info)) {
		target.ats = true;
		goto again;
	}

	/* Others may have taken the time, with nothing of this device given up. */
	if (ret == -ETIMEDOUT && intel_uapi_count_waits(descs, n) > waits &&
	    intel_uapi_timed_out(info) && !dev_tlb_is_off(info))
		qi_kill_ats(info);
	return ret && ret != -ETIMEDOUT ? -EIO : ret;
}

/* Reasons that are not about the guest's first stage are the host's. */
static bool intel_uapi_fault_reason(u8 fr, u32 *reason)
{
	switch (fr) {
	case 0x46:	/* PASID larger than what the PASID directory has */
	case 0x51:	/* PASID directory entry not present */
	case 0x59:	/* PASID table entry not present */
		*reason = IOMMU_FAULT_REASON_PASID_INVALID;
		return true;
	case 0x70:	/* paging entry cannot be accessed */
	case 0x73:	/* top-level paging entry cannot be accessed */
	case 0x75:	/* second stage does not let read the top-level entry, */
	case 0x76:	/* another paging entry, */
	case 0x77:	/* or set its accessed and dirty flags */
		*reason = IOMMU_FAULT_REASON_WALK_EABT;
		return true;
	case 0x71:	/* paging entry not present */
	case 0x72:	/* reserved bits set in a paging entry */
		*reason = IOMMU_FAULT_REASON_PTE_FETCH;
		return true;
	case 0x5c:	/* execute request, ERE clear */
	case 0x5d:	/* supervisor request, SRE clear */
	case 0x81:	/* user request, supervisor page */
	case 0x82:	/* execute request, execute disabled */
	case 0x85:	/* write request, read-only page */
	case 0x86:	/* read request, no read permission */
		*reason = IOMMU_FAULT_REASON_PERMISSION;
		return true;
	case 0x90:	/* accessed or dirty flag needed in memory not snooped */
		*reason = IOMMU_FAULT_REASON_ACCESS;
		return true;
	case 0x74:	/* paging entry points beyond what the second stage has */
	case 0x80:	/* address not canonical */
	case 0x87:	/* address is that of interrupts */
		*reason = IOMMU_FAULT_REASON_OOR_ADDRESS;
		return true;
	default:
		return false;
	}
}

/**
 * intel_uapi_decode_fault() - Make a fault record of the hardware's
 * @lo: lower half of the record
 * @hi: upper half
 * @event: where to
 *
 * Return: false if the fault is not the guest's
 */
VISIBLE_IF_KUNIT
bool intel_uapi_decode_fault(u64 lo, u64 hi,
			     struct iommu_fault_unrecoverable *event)
{
	*event = (struct iommu_fault_unrecoverable) {
		.flags = IOMMU_FAULT_UNRECOV_ADDR_VALID,
		.addr = lo & VTD_PAGE_MASK,
	};
	if (!intel_uapi_fault_reason(FIELD_GET(FRCD_FR, hi), &event->reason))
		return false;

	/* T1 and T2: 00 write, 01 page request, 10 read, 11 atomic operation */
	if (hi & FRCD_T1)
		event->perm |= IOMMU_FAULT_PERM_READ;
	if (!(hi & FRCD_T1) || hi & FRCD_T2)
		event->perm |= IOMMU_FAULT_PERM_WRITE;
	if (hi & FRCD_PP) {
		event->flags |= IOMMU_FAULT_UNRECOV_PASID_VALID;
		event->pasid = FIELD_GET(FRCD_PV, hi);
		if (hi & FRCD_EXE)
			event->perm |= IOMMU_FAULT_PERM_EXEC;
		if (hi & FRCD_PRIV)
			event->perm |= IOMMU_FAULT_PERM_PRIV;
	}
	return true;
}

static u64 intel_uapi_dev_key(struct intel_iommu *iommu, u16 sid)
{
	return (u64)iommu->seq_id << 36 | (u64)sid << 20;
}

static u64 intel_uapi_pasid_key(struct intel_iommu *iommu, u16 sid, u32 pasid)
{
	return intel_uapi_dev_key(iommu, sid) | pasid;
}

/* The bond that a fault names; NULL if nothing is bound there */
static struct intel_uapi_bond *
intel_uapi_find_bond(struct intel_iommu *iommu, u16 sid,
		     const struct iommu_fault_unrecoverable *event)
{
	bool has_pasid = event->flags & IOMMU_FAULT_UNRECOV_PASID_VALID;
	u32 pasid = has_pasid ? event->pasid : IOMMU_NO_PASID;
	struct intel_uapi_bond *ib;

	lockdep_assert_held(&intel_uapi_lock);

	/* A request with PASID 0 is not one without. */
	if (!has_pasid || pasid != IOMMU_NO_PASID)
		hash_for_each_possible(intel_uapi_by_pasid, ib, by_pasid,
				       intel_uapi_pasid_key(iommu, sid, pasid))
			if (ib->iommu == iommu && ib->sid == sid &&
			    ib->bond->pasid == pasid)
				return ib;
	return NULL;
}

/*
 * That of a PASID to which nothing is bound is the guest's, too: any bond of the
 * device will do. One without PASID is not. Returns false if the device has none.
 */
static bool intel_uapi_report_by_dev(struct intel_iommu *iommu, u16 sid,
				     const struct iommu_fault_unrecoverable *event)
{
	struct intel_uapi_bond *ib;
	unsigned int tried = 0;

	lockdep_assert_held(&intel_uapi_lock);

	if (!(event->flags & IOMMU_FAULT_UNRECOV_PASID_VALID))
		return false;
	hash_for_each_possible(intel_uapi_by_dev, ib, by_dev,
			       intel_uapi_dev_key(iommu, sid)) {
		if (ib->iommu != iommu || ib->sid != sid)
			continue;
		/* One of them at a time may be about to end, and says no. */
		if (iommu_uapi_report_unrecoverable(ib->bond, event) != -ENODEV ||
		    tried++)
			return true;
	}
	return tried;
}

/**
 * intel_uapi_report_fault() - Give a fault to the guest if it is the guest's
 * @iommu: unit that has recorded it
 * @lo: lower half of the fault record
 * @hi: upper half
 *
 * Context: any, also hard interrupt
 *
 * Return: false if the host is to report it
 */
bool intel_uapi_report_fault(struct intel_iommu *iommu, u64 lo, u64 hi)
{
	struct iommu_fault_unrecoverable event;
	u16 sid = FIELD_GET(FRCD_SID, hi);
	struct intel_uapi_bond *ib;
	unsigned long flags;
	bool ours = true;

	if (!intel_uapi_decode_fault(lo, hi, &event))
		return false;

	raw_spin_lock_irqsave(&intel_uapi_lock, flags);
	ib = intel_uapi_find_bond(iommu, sid, &event);
	/*
	 * Whether there is a reader, and room, is the guest's affair. One that has
	 * asked for the end of the bond has no use for it.
	 */
	if (ib)
		iommu_uapi_report_unrecoverable(ib->bond, &event);
	else
		ours = intel_uapi_report_by_dev(iommu, sid, &event);
	raw_spin_unlock_irqrestore(&intel_uapi_lock, flags);
	return ours;
}

/*
 * Have what is in the fault log reported, or printed, by the time of the return.
 * What is found of a device there is taken for that of its bonds of the moment.
 */
static void intel_uapi_drain_faults(struct intel_iommu *iommu)
{
	/* Nor may another reader, of this kind, still have a record in hand. */
	mutex_lock(&intel_uapi_drain_lock);
	dmar_fault(iommu->irq, iommu);
	synchronize_irq(iommu->irq);
	flush_work(&iommu->fault_work);
	mutex_unlock(&intel_uapi_drain_lock);
}

VISIBLE_IF_KUNIT
struct intel_uapi_bond *intel_uapi_add_bond(struct iommu_uapi_bond *bond)
{
	struct device_domain_info *info = dev_iommu_priv_get(bond->dev);
	struct intel_uapi_bond *ib;

	ib = kzalloc(sizeof(*ib), GFP_KERNEL_ACCOUNT);
	if (!ib)
		return NULL;
	ib->bond = bond;
	ib->iommu = info->iommu;
	ib->sid = PCI_DEVID(info->bus, info->devfn);
	bond->priv = ib;

	/* Whoever had the device before went on with its PASIDs, perhaps. */
	intel_uapi_drain_faults(ib->iommu);

	raw_spin_lock_irq(&intel_uapi_lock);
	hash_add(intel_uapi_by_pasid, &ib->by_pasid,
		 intel_uapi_pasid_key(ib->iommu, ib->sid, bond->pasid));
	hash_add(intel_uapi_by_dev, &ib->by_dev,
		 intel_uapi_dev_key(ib->iommu, ib->sid));
	raw_spin_unlock_irq(&intel_uapi_lock);

	info->ats_users++;
	return ib;
}

/* The hardware does not know the bond any more, and soon nobody will. */
VISIBLE_IF_KUNIT
void intel_uapi_remove_bond(struct iommu_uapi_bond *bond)
{
	struct device_domain_info *info = dev_iommu_priv_get(bond->dev);
	struct intel_uapi_bond *ib = bond->priv;
	struct intel_iommu *iommu = ib->iommu;

	info->ats_users--;

	/*
	 * The core has dropped the attach handle by which the page request thread
	 * finds the bond: wait until it has done what it found it for.
	 */
	mutex_lock(&iommu->iopf_lock);
	mutex_unlock(&iommu->iopf_lock);

	/* The next one to bind the PASID must not read of this one's faults. */
	intel_uapi_drain_faults(iommu);

	raw_spin_lock_irq(&intel_uapi_lock);
	hash_del(&ib->by_pasid);
	hash_del(&ib->by_dev);
	raw_spin_unlock_irq(&intel_uapi_lock);

	bond->priv = NULL;
	kfree(ib);
}

/**
 * intel_uapi_check_bind() - Check a page table against the hardware
 * @cap: capability register
 * @ecap: extended capability register
 * @max_gpa: highest address that the second stage translates
 * @data: the table; has passed the copy step
 *
 * Return: 0 or -EINVAL
 */
VISIBLE_IF_KUNIT
int intel_uapi_check_bind(u64 cap, u64 ecap, u64 max_gpa,
			  const struct iommu_gpasid_bind_data *data)
{
	const struct iommu_gpasid_bind_data_vtd *vtd = &data->vendor.vtd;
	u64 flags = 0;

	if (data->format != IOMMU_PASID_FORMAT_INTEL_VTD)
		return -EINVAL;
	if (data->addr_width != ADDR_WIDTH_4LEVEL &&
	    !(data->addr_width == ADDR_WIDTH_5LEVEL && cap_fl5lp_support(cap)))
		return -EINVAL;
	if (!IS_ALIGNED(data->gpgd, VTD_PAGE_SIZE) || data->gpgd > max_gpa)
		return -EINVAL;
	/* PASID 0 is the RID_PASID, and has another name here. */
	if (!data->hpasid != !!(data->flags & IOMMU_SVA_NO_PASID))
		return -EINVAL;

	if (ecap_srs(ecap))
		flags |= IOMMU_SVA_VTD_GPASID_SRE;
	/* Of supervisor requests; without these it would change nothing. */
	if (vtd->flags & IOMMU_SVA_VTD_GPASID_SRE)
		flags |= IOMMU_SVA_VTD_GPASID_WPE;
	if (ecap_eafs(ecap))
		flags |= IOMMU_SVA_VTD_GPASID_EAFE;
	if (vtd->flags & ~flags || vtd->pat || vtd->emt)
		return -EINVAL;
	return 0;
}

static struct iommu_domain *
intel_uapi_make_domain(struct iommu_uapi_bond *bond,
		       const struct iommu_gpasid_bind_data *data)
{
	struct device_domain_info *info = dev_iommu_priv_get(bond->dev);
	struct dmar_domain *s2_domain = to_dmar_domain(bond->stage2);
	struct iommu_hwpt_vtd_s1 s1 = {
		.pgtbl_addr = data->gpgd,
		.addr_width = data->addr_width,
	};
	size_t nr;

	spin_lock(&s2_domain->s1_lock);
	nr = list_count_nodes(&s2_domain->s1_domains);
	spin_unlock(&s2_domain->s1_lock);
	if (nr >= cap_ndoms(info->iommu->cap) / 4)
		return ERR_PTR(-ENOSPC);

	if (data->vendor.vtd.flags & IOMMU_SVA_VTD_GPASID_SRE)
		s1.flags |= IOMMU_VTD_S1_SRE;
	if (data->vendor.vtd.flags & IOMMU_SVA_VTD_GPASID_WPE)
		s1.flags |= IOMMU_VTD_S1_WPE;
	if (data->vendor.vtd.flags & IOMMU_SVA_VTD_GPASID_EAFE)
		s1.flags |= IOMMU_VTD_S1_EAFE;
	return intel_nested_domain_make(bond->stage2, &s1);
}

static int intel_uapi_bind_pgtbl(struct iommu_uapi_bond *bond,
				 const struct iommu_gpasid_bind_data *data)
{
	struct device_domain_info *info = dev_iommu_priv_get(bond->dev);
	struct intel_iommu *iommu = info->iommu;
	struct intel_uapi_bond *ib;
	struct iommu_domain *domain;
	int ret;

	if (!intel_uapi_supported(bond->dev, bond->stage2))
		return -EOPNOTSUPP;
	if (bond->pasid != IOMMU_NO_PASID && !info->pasid_enabled)
		return -EOPNOTSUPP;
	ret = intel_uapi_check_bind(iommu->cap, iommu->ecap,
				    bond->stage2->geometry.aperture_end, data);
	if (ret)
		return ret;
	ret = intel_pasid_make_room(bond->dev, bond->pasid);
	if (ret)
		return ret;

	domain = intel_uapi_make_domain(bond, data);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	ib = intel_uapi_add_bond(bond);
	if (!ib) {
		ret = -ENOMEM;
		goto err_free;
	}
	ret = iommu_uapi_attach_domain(bond, domain);
	if (ret)
		goto err_remove;
	ib->did = domain_id_iommu(to_dmar_domain(domain), iommu);
	return 0;

err_remove:
	intel_uapi_remove_bond(bond);
err_free:
	iommu_domain_free(domain);
	return ret;
}

static void intel_uapi_unbind(struct iommu_uapi_bond *bond)
{
	iommu_uapi_detach_domain(bond);
	intel_uapi_remove_bond(bond);
}

const struct iommu_uapi_ops intel_uapi_ops = {
	.info		= intel_uapi_info,
	.info_merge	= intel_uapi_info_merge,
	.bind_pgtbl	= intel_uapi_bind_pgtbl,
	.unbind		= intel_uapi_unbind,
	.invalidate	= intel_uapi_invalidate,
};
