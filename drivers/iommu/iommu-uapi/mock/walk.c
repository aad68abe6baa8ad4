// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mock hardware of the IOMMU user API: stage-1 walks
 *
 * VT-d: Intel Virtualization Technology for Directed I/O, rev. 4.1, sections
 * 3.6 (first-stage translation) and 9.7 (entry formats).
 * SMMUv3: Arm IHI 0070, section 5.4 (context descriptor), and the VMSAv8-64
 * translation table descriptors of the Arm architecture, 4 KiB granule.
 */
#include <linux/align.h>
#include <linux/bitfield.h>
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "walk.h"

/*
 * An entry that changes between its fetch and its update is fetched again. A
 * guest that never stops changing it gets a fault in the end.
 */
#define MAX_RETRIES		64

#define GPA_MASK		GENMASK_ULL(MOCK_GPA_BITS - 1, 12)

static int no_fetch(struct mock_s1_fault *fault, enum iommu_fault_reason reason)
{
	*fault = (struct mock_s1_fault) { .reason = reason };
	return -EFAULT;
}

static int at_entry(struct mock_s1_fault *fault, enum iommu_fault_reason reason,
		    u64 fetch_addr, bool recoverable)
{
	*fault = (struct mock_s1_fault) {
		.reason = reason,
		.recoverable = recoverable,
		.has_fetch_addr = true,
		.fetch_addr = fetch_addr,
	};
	return -EFAULT;
}

/* Bits @hi to @lo are all like bit @hi: what a canonical address has. */
static bool sign_extended(u64 va, unsigned int hi, unsigned int lo)
{
	u64 mask = GENMASK_ULL(hi, lo);

	return (va & mask) == 0 || (va & mask) == mask;
}

/* An entry on the way to the page, and what it becomes */
struct step {
	u64 gpa;
	u64 old;
	u64 new;
};

/* Returns 0, -EAGAIN to walk again, or -EFAULT */
static int update_entry(struct mock_mem *mem, const struct step *step,
			struct mock_s1_fault *fault)
{
	int ret;

	if (step->new == step->old)
		return 0;
	ret = mem->update(mem, step->gpa, step->old, step->new);
	if (ret == -EFAULT)
		return at_entry(fault, IOMMU_FAULT_REASON_WALK_EABT, step->gpa,
				false);
	return ret;
}

#define VTD_PRESENT		BIT_ULL(0)
#define VTD_WRITE		BIT_ULL(1)
#define VTD_USER		BIT_ULL(2)
#define VTD_ACCESSED		BIT_ULL(5)
#define VTD_DIRTY		BIT_ULL(6)
#define VTD_PAGE_SIZE		BIT_ULL(7)
#define VTD_EXT_ACCESSED	BIT_ULL(10)
#define VTD_NO_EXEC		BIT_ULL(63)
#define VTD_MAX_LEVELS		5

static unsigned int vtd_shift(unsigned int level)
{
	return 12 + 9 * (level - 1);
}

static bool vtd_is_leaf(u64 pte, unsigned int level)
{
	return level == 1 || (level <= 3 && (pte & VTD_PAGE_SIZE));
}

static bool vtd_is_malformed(u64 pte, unsigned int level)
{
	u64 reserved = GENMASK_ULL(51, MOCK_GPA_BITS);

	if (level > 3)
		reserved |= VTD_PAGE_SIZE;
	else if (level > 1 && vtd_is_leaf(pte, level))
		/* Bit 12 is the memory type's (PAT). */
		reserved |= GENMASK_ULL(vtd_shift(level) - 1, 13);
	return pte & reserved;
}

/* @all has the bits that all entries on the way have, @any those of any. */
static u8 vtd_allowed(const struct mock_vtd_table *table, u64 all, u64 any)
{
	unsigned int acc;
	u8 allowed = 0;

	for (acc = 0; acc < MOCK_ACC_NR; acc++) {
		bool priv = acc & MOCK_ACC_PRIV;

		if (priv ? !table->sre : !(all & VTD_USER))
			continue;
		if ((acc & MOCK_ACC_WRITE) && !(all & VTD_WRITE) &&
		    !(priv && !table->wpe))
			continue;
		if ((acc & MOCK_ACC_EXEC) && (any & VTD_NO_EXEC))
			continue;
		allowed |= BIT(acc);
	}
	return allowed;
}

/* The mask without the writes, for a page that has not been written so far */
static u8 not_dirty(u8 allowed)
{
	unsigned int acc;

	for (acc = 0; acc < MOCK_ACC_NR; acc++)
		if (acc & MOCK_ACC_WRITE)
			allowed &= ~BIT(acc);
	return allowed;
}

static int vtd_walk_once(struct mock_mem *mem,
			 const struct mock_vtd_table *table, u64 va,
			 unsigned int acc, struct mock_leaf *leaf,
			 struct mock_s1_fault *fault)
{
	struct step steps[VTD_MAX_LEVELS], *step = steps;
	u64 next = table->root, all = ~0ULL, any = 0;
	unsigned int level = table->levels, i;
	int ret;

	for (;; level--, step++) {
		u64 pte;

		step->gpa = next | (va >> vtd_shift(level) & 511) << 3;
		if (mem->load(mem, step->gpa, &pte))
			return at_entry(fault, IOMMU_FAULT_REASON_WALK_EABT,
					step->gpa, false);
		if (!(pte & VTD_PRESENT))
			return at_entry(fault, IOMMU_FAULT_REASON_PTE_FETCH,
					step->gpa, true);
		if (vtd_is_malformed(pte, level))
			return at_entry(fault, IOMMU_FAULT_REASON_PTE_FETCH,
					step->gpa, false);

		all &= pte;
		any |= pte;
		step->old = pte;
		step->new = pte | VTD_ACCESSED;
		if (table->eafe)
			step->new |= VTD_EXT_ACCESSED;
		if (vtd_is_leaf(pte, level))
			break;
		next = pte & GPA_MASK;
	}

	leaf->size = 1ULL << vtd_shift(level);
	leaf->va = va & ~(leaf->size - 1);
	leaf->gpa = step->old & GPA_MASK & ~(leaf->size - 1);
	leaf->allowed = vtd_allowed(table, all, any);
	if (!(leaf->allowed & BIT(acc)))
		return at_entry(fault, IOMMU_FAULT_REASON_PERMISSION, step->gpa,
				table->sre || !(acc & MOCK_ACC_PRIV));

	if (acc & MOCK_ACC_WRITE)
		step->new |= VTD_DIRTY;
	if (!(step->new & VTD_DIRTY))
		leaf->allowed = not_dirty(leaf->allowed);

	for (i = 0; i <= step - steps; i++) {
		ret = update_entry(mem, &steps[i], fault);
		if (ret)
			return ret;
	}
	/* Not before the accessed flag is there for the guest to see */
	for (i = 0; mem->keep && i < step - steps; i++)
		mem->keep(mem, steps[i].gpa, steps[i].new,
			  1ULL << vtd_shift(table->levels - i));
	return 0;
}

/**
 * mock_vtd_walk() - Translate an address by a VT-d first-stage table
 * @mem: memory that the table is in
 * @table: the table
 * @va: the address
 * @acc: the access: MOCK_ACC_*
 * @leaf: what is found
 * @fault: or why not
 *
 * Sets the accessed flags on the way, and the dirty flag for a write.
 *
 * Return: 0 or -EFAULT
 */
int mock_vtd_walk(struct mock_mem *mem, const struct mock_vtd_table *table,
		  u64 va, unsigned int acc, struct mock_leaf *leaf,
		  struct mock_s1_fault *fault)
{
	int ret, i;

	/* VT-d section 3.6: not canonical for the number of levels */
	if (!sign_extended(va, 63, vtd_shift(table->levels + 1) - 1))
		return no_fetch(fault, IOMMU_FAULT_REASON_OOR_ADDRESS);

	for (i = 0; i < MAX_RETRIES; i++) {
		ret = vtd_walk_once(mem, table, va, acc, leaf, fault);
		if (ret != -EAGAIN)
			return ret;
	}
	return no_fetch(fault, IOMMU_FAULT_REASON_UNKNOWN);
}

#define CD_SIZE			64
#define CD_DWORDS		(CD_SIZE / sizeof(u64))
/* These two times, for the low and the high addresses */
#define CD0_TSZ			GENMASK_ULL(5, 0)
#define CD0_TG			GENMASK_ULL(7, 6)
#define CD0_EPD			BIT_ULL(14)
#define CD0_HALF		16
#define CD0_ENDI		BIT_ULL(15)
#define CD0_V			BIT_ULL(31)
#define CD0_IPS			GENMASK_ULL(34, 32)
#define CD0_AFFD		BIT_ULL(35)
#define CD0_WXN			BIT_ULL(36)
#define CD0_TBI(r)		BIT_ULL(38 + (r))
#define CD0_PAN			BIT_ULL(40)
#define CD0_AA64		BIT_ULL(41)
#define CD0_HD			BIT_ULL(42)
#define CD0_HA			BIT_ULL(43)
#define CD0_S			BIT_ULL(44)
#define CD0_ASID		GENMASK_ULL(63, 48)
#define CD_TTB_HAD		BIT_ULL(1)
#define CD_TTB_ADDR		GENMASK_ULL(51, 4)

#define L1_DESC_V		BIT_ULL(0)
#define L1_DESC_L2PTR		GENMASK_ULL(51, 12)

/* TCR_ELx.TG0 and TG1 count differently. */
static const u8 tg_4k[2] = { 0, 2 };

/**
 * mock_cd_select() - Which context descriptor a request uses
 * @table: the table
 * @has_pasid: the request has a PASID
 * @pasid: which
 * @index: index of the descriptor
 * @fault: why there is none
 *
 * Return: 0, 1 if the request bypasses stage 1, or -EFAULT
 */
int mock_cd_select(const struct mock_cd_table *table, bool has_pasid, u32 pasid,
		   u32 *index, struct mock_s1_fault *fault)
{
	*index = 0;
	if (has_pasid) {
		/* Descriptor 0 belongs to the requests without PASID, if used so */
		if (!table->bits || pasid >> table->bits ||
		    (!pasid && table->s1dss == IOMMU_PASID_SMMUV3_S1DSS_SSID0))
			return no_fetch(fault, IOMMU_FAULT_REASON_PASID_INVALID);
		*index = pasid;
		return 0;
	}

	if (!table->bits)
		return 0;
	switch (table->s1dss) {
	case IOMMU_PASID_SMMUV3_S1DSS_SSID0:
		return 0;
	case IOMMU_PASID_SMMUV3_S1DSS_BYPASS:
		return 1;
	default:
		return no_fetch(fault, IOMMU_FAULT_REASON_PASID_INVALID);
	}
}

static int cd_decode(const u64 *dw, struct mock_cd *cd)
{
	static const u8 out_bits[8] = { 32, 36, 40, 42, 44, 48, 48, 48 };
	unsigned int r;

	if (!(dw[0] & CD0_AA64) || dw[0] & (CD0_ENDI | CD0_S))
		return -EINVAL;

	for (r = 0; r < 2; r++) {
		u64 half = dw[0] >> (r * CD0_HALF);
		u64 tsz = FIELD_GET(CD0_TSZ, half);
		u64 tg = FIELD_GET(CD0_TG, half);

		cd->epd[r] = half & CD0_EPD;
		cd->tbi[r] = dw[0] & CD0_TBI(r);
		cd->had[r] = dw[1 + r] & CD_TTB_HAD;
		cd->ttb[r] = dw[1 + r] & CD_TTB_ADDR;
		if (cd->epd[r])
			continue;
		if (tsz < 16 || tsz > 39 || tg != tg_4k[r] ||
		    cd->ttb[r] >> MOCK_GPA_BITS)
			return -EINVAL;
		cd->bits[r] = 64 - tsz;
	}

	cd->out_bits = out_bits[FIELD_GET(CD0_IPS, dw[0])];
	cd->asid = FIELD_GET(CD0_ASID, dw[0]);
	cd->ha = dw[0] & CD0_HA;
	cd->hd = cd->ha && (dw[0] & CD0_HD);
	cd->affd = dw[0] & CD0_AFFD;
	cd->wxn = dw[0] & CD0_WXN;
	cd->pan = dw[0] & CD0_PAN;
	return 0;
}

/* Guest-physical address of a descriptor */
static int cd_locate(struct mock_mem *mem, const struct mock_cd_table *table,
		     u32 index, u64 *gpa, struct mock_s1_fault *fault)
{
	unsigned int split = table->s1fmt == IOMMU_PASID_SMMUV3_S1FMT_4K_L2 ?
			     ilog2(SZ_4K / CD_SIZE) : ilog2(SZ_64K / CD_SIZE);
	u64 l1, l1_gpa;

	if (table->s1fmt == IOMMU_PASID_SMMUV3_S1FMT_LINEAR || !table->bits) {
		*gpa = table->base + (u64)index * CD_SIZE;
		return 0;
	}

	l1_gpa = table->base + (index >> split) * sizeof(l1);
	if (mem->load(mem, l1_gpa, &l1))
		return at_entry(fault, IOMMU_FAULT_REASON_PASID_FETCH, l1_gpa,
				false);
	if (!(l1 & L1_DESC_V))
		return at_entry(fault, IOMMU_FAULT_REASON_PASID_INVALID, l1_gpa,
				false);
	*gpa = ALIGN_DOWN(l1 & L1_DESC_L2PTR, CD_SIZE << split) +
	       (index & GENMASK(split - 1, 0)) * CD_SIZE;
	return 0;
}

/**
 * mock_cd_fetch() - Read a context descriptor
 * @mem: memory that the table is in
 * @table: the table
 * @index: from mock_cd_select()
 * @cd: the descriptor
 * @fault: or why it cannot be had
 *
 * Return: 0 or -EFAULT
 */
int mock_cd_fetch(struct mock_mem *mem, const struct mock_cd_table *table,
		  u32 index, struct mock_cd *cd, struct mock_s1_fault *fault)
{
	u64 dw[3], gpa;
	unsigned int i;

	memset(cd, 0, sizeof(*cd));
	if (cd_locate(mem, table, index, &gpa, fault))
		return -EFAULT;
	for (i = 0; i < ARRAY_SIZE(dw); i++)
		if (mem->load(mem, gpa + i * sizeof(u64), &dw[i]))
			return at_entry(fault, IOMMU_FAULT_REASON_PASID_FETCH,
					gpa, false);
	if (!(dw[0] & CD0_V))
		return at_entry(fault, IOMMU_FAULT_REASON_PASID_INVALID, gpa,
				false);
	if (cd_decode(dw, cd))
		return at_entry(fault, IOMMU_FAULT_REASON_BAD_PASID_ENTRY, gpa,
				false);
	return 0;
}

#define ARM_VALID		BIT_ULL(0)
#define ARM_TABLE_OR_PAGE	BIT_ULL(1)
#define ARM_AP_USER		BIT_ULL(6)
#define ARM_AP_RDONLY		BIT_ULL(7)
#define ARM_AF			BIT_ULL(10)
#define ARM_DBM			BIT_ULL(51)
#define ARM_PXN			BIT_ULL(53)
#define ARM_UXN			BIT_ULL(54)
#define ARM_PXN_TABLE		BIT_ULL(59)
#define ARM_UXN_TABLE		BIT_ULL(60)
#define ARM_AP_TABLE_NO_USER	BIT_ULL(61)
#define ARM_AP_TABLE_RDONLY	BIT_ULL(62)
#define ARM_LAST_LEVEL		3

static unsigned int arm_shift(unsigned int level)
{
	return 12 + 9 * (ARM_LAST_LEVEL - level);
}

static bool arm_is_leaf(u64 desc, unsigned int level)
{
	return level == ARM_LAST_LEVEL || !(desc & ARM_TABLE_OR_PAGE);
}

static bool arm_is_malformed(const struct mock_cd *cd, u64 desc,
			     unsigned int level)
{
	/* No pages at the lowest level but 4 KiB ones, no blocks of 512 GiB */
	if ((level == 0 || level == ARM_LAST_LEVEL) &&
	    !(desc & ARM_TABLE_OR_PAGE))
		return true;
	return (desc & GPA_MASK) >> cd->out_bits;
}

/*
 * @desc is that of the page, @tables has the attributes of the tables above it.
 * Every writable page, for @writable, may be one that is still clean.
 */
static u8 arm_allowed(const struct mock_cd *cd, u64 desc, u64 tables,
		      bool writable)
{
	bool user = (desc & ARM_AP_USER) && !(tables & ARM_AP_TABLE_NO_USER);
	bool uxn = (desc & ARM_UXN) || (tables & ARM_UXN_TABLE);
	bool pxn = (desc & ARM_PXN) || (tables & ARM_PXN_TABLE);
	unsigned int acc;
	u8 allowed = 0;

	uxn |= writable && cd->wxn;
	pxn |= writable && cd->wxn;
	/* The privileged side never executes what the user can write. */
	pxn |= writable && user;

	for (acc = 0; acc < MOCK_ACC_NR; acc++) {
		bool priv = acc & MOCK_ACC_PRIV;

		if (acc & MOCK_ACC_EXEC) {
			if (priv ? pxn : uxn)
				continue;
		} else if (priv ? user && cd->pan : !user) {
			continue;
		}
		if ((acc & MOCK_ACC_WRITE) &&
		    (!writable || !(priv || user)))
			continue;
		allowed |= BIT(acc);
	}
	return allowed;
}

/* Decide on the entry of a page, and on what becomes of it. */
static int arm_finish(const struct mock_cd *cd, u64 tables, unsigned int acc,
		      struct step *step, struct mock_leaf *leaf,
		      struct mock_s1_fault *fault)
{
	bool rdonly_above = tables & ARM_AP_TABLE_RDONLY;
	bool clean = cd->hd && (step->old & ARM_DBM) &&
		     (step->old & ARM_AP_RDONLY);
	bool writable = !rdonly_above &&
			(clean || !(step->old & ARM_AP_RDONLY));

	step->new = step->old;
	if (!(step->old & ARM_AF)) {
		if (cd->ha)
			step->new |= ARM_AF;
		else if (!cd->affd)
			return at_entry(fault, IOMMU_FAULT_REASON_ACCESS,
					step->gpa, true);
	}

	leaf->allowed = arm_allowed(cd, step->old, tables, writable);
	if (!(leaf->allowed & BIT(acc)))
		return at_entry(fault, IOMMU_FAULT_REASON_PERMISSION, step->gpa,
				true);

	if (clean && (acc & MOCK_ACC_WRITE))
		step->new &= ~ARM_AP_RDONLY;
	else if (clean)
		leaf->allowed = not_dirty(leaf->allowed);
	return 0;
}

static int arm_walk_once(struct mock_mem *mem, const struct mock_cd *cd,
			 unsigned int r, u64 va, unsigned int acc,
			 struct mock_leaf *leaf, struct mock_s1_fault *fault)
{
	unsigned int level = 4 - DIV_ROUND_UP(cd->bits[r] - 12, 9);
	/* The first table may be smaller than a page, and is aligned to its size. */
	u64 first = max(8ULL << (cd->bits[r] - arm_shift(level)), 64ULL);
	u64 next = ALIGN_DOWN(cd->ttb[r], first);
	u64 index = (va & GENMASK_ULL(cd->bits[r] - 1, 0)) >> arm_shift(level);
	struct step step;
	u64 tables = 0;
	int ret;

	for (;; level++, index = va >> arm_shift(level) & 511) {
		step.gpa = next + index * sizeof(u64);
		if (mem->load(mem, step.gpa, &step.old))
			return at_entry(fault, IOMMU_FAULT_REASON_WALK_EABT,
					step.gpa, false);
		if (!(step.old & ARM_VALID))
			return at_entry(fault, IOMMU_FAULT_REASON_PTE_FETCH,
					step.gpa, true);
		if (arm_is_malformed(cd, step.old, level))
			return at_entry(fault, IOMMU_FAULT_REASON_PTE_FETCH,
					step.gpa, false);
		if (arm_is_leaf(step.old, level))
			break;
		if (!cd->had[r])
			tables |= step.old;
		if (mem->keep)
			mem->keep(mem, step.gpa, step.old,
				  1ULL << arm_shift(level));
		next = step.old & GPA_MASK;
	}

	leaf->size = 1ULL << arm_shift(level);
	leaf->va = va & ~(leaf->size - 1);
	leaf->gpa = step.old & GPA_MASK & ~(leaf->size - 1);
	ret = arm_finish(cd, tables, acc, &step, leaf, fault);
	return ret ?: update_entry(mem, &step, fault);
}

/**
 * mock_arm_untagged() - Make the addresses that are the same to stage 1 equal
 * @cd: the context descriptor
 * @va: an address
 *
 * Return: @va without its tag, if it has one: with a top byte that is like bit 55
 */
u64 mock_arm_untagged(const struct mock_cd *cd, u64 va)
{
	return cd->tbi[va >> 55 & 1] ? sign_extend64(va, 55) : va;
}

/**
 * mock_arm_walk() - Translate an address by VMSAv8-64 tables, 4 KiB granule
 * @mem: memory that the tables are in
 * @cd: the context descriptor
 * @va: the address, from mock_arm_untagged()
 * @acc: the access: MOCK_ACC_*
 * @leaf: what is found
 * @fault: or why not
 *
 * Sets the access flag, and makes a clean page dirty for a write, where the
 * context descriptor wants that.
 *
 * Return: 0 or -EFAULT
 */
int mock_arm_walk(struct mock_mem *mem, const struct mock_cd *cd, u64 va,
		  unsigned int acc, struct mock_leaf *leaf,
		  struct mock_s1_fault *fault)
{
	unsigned int r = va >> 55 & 1;
	int ret, i;

	if (cd->epd[r] || !sign_extended(va, 63, cd->bits[r]))
		return no_fetch(fault, IOMMU_FAULT_REASON_OOR_ADDRESS);

	for (i = 0; i < MAX_RETRIES; i++) {
		ret = arm_walk_once(mem, cd, r, va, acc, leaf, fault);
		if (ret != -EAGAIN)
			return ret;
	}
	return no_fetch(fault, IOMMU_FAULT_REASON_UNKNOWN);
}
