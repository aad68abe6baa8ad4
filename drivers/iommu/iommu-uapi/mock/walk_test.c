// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mock hardware of the IOMMU user API: unit tests of the stage-1 walks
 *
 * A wrong walk would make tests pass or fail for the wrong reason, so each
 * format, level, permission and reserved bit is checked against memory that the
 * test has made up.
 */
#include <kunit/test.h>
#include <linux/sizes.h>

#include "walk.h"

#define NR_PAGES	8
#define PAGE_DWORDS	(SZ_4K / sizeof(u64))
/* Where the pages are: not at zero, so that a lost base shows */
#define BASE		0x123450000000ULL
#define PAGE(n)		(BASE + (n) * (u64)SZ_4K)

struct test_mem {
	struct mock_mem mem;
	u64 dw[NR_PAGES * PAGE_DWORDS];
	bool rdonly;		/* updates fail */
	unsigned int races;	/* updates that find another value */
	unsigned int loads;
	/* Entries that lead to other tables, as the walk has told */
	unsigned int kept;
	struct {
		u64 gpa;
		u64 val;
		u64 size;
	} keep[4];
};

static u64 *at(struct test_mem *tm, u64 gpa)
{
	if (gpa < BASE || gpa >= PAGE(NR_PAGES) || gpa % sizeof(u64))
		return NULL;
	return &tm->dw[(gpa - BASE) / sizeof(u64)];
}

static int test_load(struct mock_mem *mem, u64 gpa, u64 *val)
{
	struct test_mem *tm = container_of(mem, struct test_mem, mem);
	u64 *dw = at(tm, gpa);

	tm->loads++;
	if (!dw)
		return -EFAULT;
	*val = *dw;
	return 0;
}

static int test_update(struct mock_mem *mem, u64 gpa, u64 old, u64 new)
{
	struct test_mem *tm = container_of(mem, struct test_mem, mem);
	u64 *dw = at(tm, gpa);

	if (!dw || tm->rdonly)
		return -EFAULT;
	if (tm->races) {
		tm->races--;
		return -EAGAIN;
	}
	if (*dw != old)
		return -EAGAIN;
	*dw = new;
	return 0;
}

static void test_keep(struct mock_mem *mem, u64 gpa, u64 val, u64 size)
{
	struct test_mem *tm = container_of(mem, struct test_mem, mem);

	if (tm->kept < ARRAY_SIZE(tm->keep)) {
		tm->keep[tm->kept].gpa = gpa;
		tm->keep[tm->kept].val = val;
		tm->keep[tm->kept].size = size;
	}
	tm->kept++;
}

static int walk_test_init(struct kunit *test)
{
	struct test_mem *tm = kunit_kzalloc(test, sizeof(*tm), GFP_KERNEL);

	if (!tm)
		return -ENOMEM;
	tm->mem.load = test_load;
	tm->mem.update = test_update;
	test->priv = tm;
	return 0;
}

static void put(struct test_mem *tm, unsigned int page, unsigned int index,
		u64 val)
{
	tm->dw[page * PAGE_DWORDS + index] = val;
}

static u64 get(struct test_mem *tm, unsigned int page, unsigned int index)
{
	return tm->dw[page * PAGE_DWORDS + index];
}

/* VT-d entries */
#define P	BIT_ULL(0)
#define RW	BIT_ULL(1)
#define US	BIT_ULL(2)
#define A	BIT_ULL(5)
#define D	BIT_ULL(6)
#define PS	BIT_ULL(7)
#define EA	BIT_ULL(10)
#define XD	BIT_ULL(63)
#define ALL	(P | RW | US)

/* Index 1 at level 5, 2 at level 4, 3, 4, 5 and offset 0x678 */
#define VTD_VA4	(2ULL << 39 | 3ULL << 30 | 4ULL << 21 | 5ULL << 12 | 0x678)
#define VTD_VA5	(BIT_ULL(48) | VTD_VA4)

/* Tables for both of them, in the pages 0 (level 5) to 4 (level 1) */
static void vtd_tables(struct test_mem *tm)
{
	put(tm, 0, 1, PAGE(1) | ALL);
	put(tm, 1, 2, PAGE(2) | ALL);
	put(tm, 2, 3, PAGE(3) | ALL);
	put(tm, 3, 4, PAGE(4) | ALL);
	put(tm, 4, 5, 0x7654321000 | ALL);
}

static const struct mock_vtd_table vtd4 = { .root = PAGE(1), .levels = 4 };
static const struct mock_vtd_table vtd5 = { .root = PAGE(0), .levels = 5 };

static int vtd(struct kunit *test, const struct mock_vtd_table *table, u64 va,
	       unsigned int acc, struct mock_leaf *leaf,
	       struct mock_s1_fault *fault)
{
	struct test_mem *tm = test->priv;

	memset(leaf, 0, sizeof(*leaf));
	memset(fault, 0, sizeof(*fault));
	return mock_vtd_walk(&tm->mem, table, va, acc, leaf, fault);
}

static void expect_leaf(struct kunit *test, const struct mock_leaf *leaf, u64 va,
			u64 gpa, u64 size)
{
	KUNIT_EXPECT_EQ(test, leaf->va, va);
	KUNIT_EXPECT_EQ(test, leaf->gpa, gpa);
	KUNIT_EXPECT_EQ(test, leaf->size, size);
}

static void expect_fault(struct kunit *test, int ret,
			 const struct mock_s1_fault *fault,
			 enum iommu_fault_reason reason, bool recoverable)
{
	KUNIT_EXPECT_EQ(test, ret, -EFAULT);
	KUNIT_EXPECT_EQ(test, fault->reason, reason);
	KUNIT_EXPECT_EQ(test, fault->recoverable, recoverable);
}

static void expect_fault_at(struct kunit *test, int ret,
			    const struct mock_s1_fault *fault,
			    enum iommu_fault_reason reason, bool recoverable,
			    u64 addr)
{
	expect_fault(test, ret, fault, reason, recoverable);
	KUNIT_EXPECT_TRUE(test, fault->has_fetch_addr);
	KUNIT_EXPECT_EQ(test, fault->fetch_addr, addr);
}

static void vtd_levels(struct kunit *test)
{
	struct mock_s1_fault fault;
	struct mock_leaf leaf;

	vtd_tables(test->priv);
	KUNIT_EXPECT_EQ(test, vtd(test, &vtd4, VTD_VA4, 0, &leaf, &fault), 0);
	expect_leaf(test, &leaf, VTD_VA4 & ~0xfffULL, 0x7654321000, SZ_4K);

	KUNIT_EXPECT_EQ(test, vtd(test, &vtd5, VTD_VA5, 0, &leaf, &fault), 0);
	expect_leaf(test, &leaf, VTD_VA5 & ~0xfffULL, 0x7654321000, SZ_4K);
}

static void vtd_large_pages(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;

	vtd_tables(tm);
	put(tm, 3, 4, (0x5432ULL << 21) | ALL | PS);
	KUNIT_EXPECT_EQ(test, vtd(test, &vtd4, VTD_VA4, 0, &leaf, &fault), 0);
	expect_leaf(test, &leaf, VTD_VA4 & ~(SZ_2M - 1ULL), 0x5432ULL << 21,
		    SZ_2M);

	put(tm, 2, 3, (0x321ULL << 30) | ALL | PS);
	KUNIT_EXPECT_EQ(test, vtd(test, &vtd5, VTD_VA5, 0, &leaf, &fault), 0);
	expect_leaf(test, &leaf, VTD_VA5 & ~(SZ_1G - 1ULL), 0x321ULL << 30,
		    SZ_1G);
}

/* Bit 12 of a large page's entry is not part of its address. */
static void vtd_large_page_pat(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;

	vtd_tables(tm);
	put(tm, 3, 4, (0x5432ULL << 21) | BIT_ULL(12) | ALL | PS);
	KUNIT_EXPECT_EQ(test, vtd(test, &vtd4, VTD_VA4, 0, &leaf, &fault), 0);
	KUNIT_EXPECT_EQ(test, leaf.gpa, 0x5432ULL << 21);
}

static void vtd_not_present(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	unsigned int page;
	int ret;

	for (page = 0; page < 5; page++) {
		vtd_tables(tm);
		put(tm, page, page + 1, get(tm, page, page + 1) & ~P);
		ret = vtd(test, &vtd5, VTD_VA5, 0, &leaf, &fault);
		expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_PTE_FETCH,
				true, PAGE(page) + (page + 1) * sizeof(u64));
	}
}

static void vtd_no_memory(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_vtd_table table = vtd4;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	int ret;

	vtd_tables(tm);
	table.root = PAGE(NR_PAGES);
	ret = vtd(test, &table, VTD_VA4, 0, &leaf, &fault);
	expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_WALK_EABT, false,
			PAGE(NR_PAGES) + 2 * sizeof(u64));

	put(tm, 3, 4, ALL);
	ret = vtd(test, &vtd4, VTD_VA4, 0, &leaf, &fault);
	expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_WALK_EABT, false,
			5 * sizeof(u64));
}

/* @entry in @page's slot of the path is malformed; or not */
static void vtd_try_entry(struct kunit *test, unsigned int page, u64 entry,
			  bool malformed)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	int ret;

	vtd_tables(tm);
	put(tm, page, page + 1, entry);
	ret = vtd(test, &vtd5, VTD_VA5, 0, &leaf, &fault);
	if (!malformed) {
		KUNIT_EXPECT_EQ_MSG(test, ret, 0, "entry %llx", entry);
		return;
	}
	KUNIT_EXPECT_EQ_MSG(test, ret, -EFAULT, "entry %llx", entry);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_PTE_FETCH, false);
}

static void vtd_reserved_bits(struct kunit *test)
{
	unsigned int page, bit;

	for (page = 0; page < 5; page++) {
		u64 entry = (page < 4 ? PAGE(page + 1) : 0x1000) | ALL;

		/* What is above the width of an address; ignored bits; 11:8 */
		for (bit = MOCK_GPA_BITS; bit < 63; bit++)
			vtd_try_entry(test, page, entry | BIT_ULL(bit),
				      bit < 52);
		for (bit = 8; bit < 12; bit++)
			vtd_try_entry(test, page, entry | BIT_ULL(bit), false);
	}

	/* No large pages of 512 GiB or more */
	vtd_try_entry(test, 0, PAGE(1) | ALL | PS, true);
	vtd_try_entry(test, 1, PAGE(2) | ALL | PS, true);
	/* The last level has another meaning for the bit. */
	vtd_try_entry(test, 4, 0x1000 | ALL | PS, false);

	for (bit = 13; bit < 30; bit++)
		vtd_try_entry(test, 2, SZ_1G | ALL | PS | BIT_ULL(bit), true);
	for (bit = 13; bit < 21; bit++)
		vtd_try_entry(test, 3, SZ_1G | ALL | PS | BIT_ULL(bit), true);
	vtd_try_entry(test, 3, SZ_1G | ALL | PS | BIT_ULL(21), false);
	vtd_try_entry(test, 3, SZ_1G | ALL | PS | BIT_ULL(51), true);
}

static void vtd_canonical(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	int ret;

	/* The highest page of either half */
	put(tm, 1, 511, PAGE(2) | ALL);
	put(tm, 1, 255, PAGE(2) | ALL);
	put(tm, 2, 511, PAGE(3) | ALL);
	put(tm, 3, 511, PAGE(4) | ALL);
	put(tm, 4, 511, 0x1000 | ALL);
	KUNIT_EXPECT_EQ(test, vtd(test, &vtd4, U64_MAX, 0, &leaf, &fault), 0);
	expect_leaf(test, &leaf, ~0xfffULL, 0x1000, SZ_4K);
	KUNIT_EXPECT_EQ(test, vtd(test, &vtd4, BIT_ULL(47) - 1, 0, &leaf,
				  &fault), 0);

	tm->loads = 0;
	ret = vtd(test, &vtd4, BIT_ULL(47), 0, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_OOR_ADDRESS, false);
	ret = vtd(test, &vtd4, BIT_ULL(63), 0, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_OOR_ADDRESS, false);
	ret = vtd(test, &vtd4, BIT_ULL(56) - 1, 0, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_OOR_ADDRESS, false);
	ret = vtd(test, &vtd5, BIT_ULL(56), 0, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_OOR_ADDRESS, false);
	KUNIT_EXPECT_EQ(test, tm->loads, 0);
}

/* A flag missing at any level is missing. */
static void vtd_permission(struct kunit *test)
{
	static const struct {
		u64 clear, set;
		unsigned int acc;
		bool sre, wpe, ok;
	} cases[] = {
		{ 0, 0, 0, .ok = true },
		{ 0, 0, MOCK_ACC_WRITE, .ok = true },
		{ 0, 0, MOCK_ACC_EXEC, .ok = true },
		{ RW, 0, 0, .ok = true },
		{ RW, 0, MOCK_ACC_WRITE },
		{ RW, 0, MOCK_ACC_EXEC, .ok = true },
		{ US, 0, 0 },
		{ US, 0, MOCK_ACC_WRITE },
		{ US, 0, MOCK_ACC_EXEC },
		{ 0, XD, 0, .ok = true },
		{ 0, XD, MOCK_ACC_WRITE, .ok = true },
		{ 0, XD, MOCK_ACC_EXEC },
		{ US, 0, MOCK_ACC_PRIV, .sre = true, .ok = true },
		{ US, 0, MOCK_ACC_PRIV | MOCK_ACC_WRITE, .sre = true,
		  .ok = true },
		{ 0, XD, MOCK_ACC_PRIV | MOCK_ACC_EXEC, .sre = true },
		{ RW, 0, MOCK_ACC_PRIV | MOCK_ACC_WRITE, .sre = true,
		  .ok = true },
		{ RW, 0, MOCK_ACC_PRIV | MOCK_ACC_WRITE, .sre = true,
		  .wpe = true },
		{ 0, 0, MOCK_ACC_PRIV | MOCK_ACC_WRITE, .sre = true,
		  .wpe = true, .ok = true },
	};
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	unsigned int i, page;
	int ret;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mock_vtd_table table = vtd5;

		table.sre = cases[i].sre;
		table.wpe = cases[i].wpe;
		for (page = 0; page < 5; page++) {
			vtd_tables(tm);
			put(tm, page, page + 1,
			    (get(tm, page, page + 1) & ~cases[i].clear) |
			    cases[i].set);
			ret = vtd(test, &table, VTD_VA5, cases[i].acc, &leaf,
				  &fault);
			KUNIT_EXPECT_EQ_MSG(test, !ret, cases[i].ok,
					    "case %u level %u", i, 5 - page);
			if (cases[i].ok)
				continue;
			expect_fault_at(test, ret, &fault,
					IOMMU_FAULT_REASON_PERMISSION, true,
					PAGE(4) + 5 * sizeof(u64));
			/* No flag is set by an access that did not happen. */
			KUNIT_EXPECT_FALSE(test, get(tm, 4, 5) & (A | D));
		}
	}

	/* Supervisor requests are not enabled at all: nothing to be repaired */
	vtd_tables(tm);
	ret = vtd(test, &vtd5, VTD_VA5, MOCK_ACC_PRIV, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_PERMISSION, false);
}

static void vtd_accessed_dirty(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_vtd_table table = vtd5;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	unsigned int page;

	vtd_tables(tm);
	KUNIT_EXPECT_EQ(test, vtd(test, &table, VTD_VA5, 0, &leaf, &fault), 0);
	for (page = 0; page < 5; page++)
		KUNIT_EXPECT_EQ(test, get(tm, page, page + 1) & (A | D | EA), A);
	/* A clean page is walked again for a write, but not for a read. */
	KUNIT_EXPECT_EQ(test, leaf.allowed, BIT(0) | BIT(MOCK_ACC_EXEC));

	KUNIT_EXPECT_EQ(test, vtd(test, &table, VTD_VA5, MOCK_ACC_WRITE, &leaf,
				  &fault), 0);
	for (page = 0; page < 5; page++)
		KUNIT_EXPECT_EQ(test, get(tm, page, page + 1) & (A | D | EA),
				page == 4 ? A | D : A);
	KUNIT_EXPECT_TRUE(test, leaf.allowed & BIT(MOCK_ACC_WRITE));

	table.eafe = true;
	KUNIT_EXPECT_EQ(test, vtd(test, &table, VTD_VA5, 0, &leaf, &fault), 0);
	for (page = 0; page < 5; page++)
		KUNIT_EXPECT_TRUE(test, get(tm, page, page + 1) & EA);
	/* It is dirty already. */
	KUNIT_EXPECT_TRUE(test, leaf.allowed & BIT(MOCK_ACC_WRITE));

	/* A large page has the dirty flag in its own entry. */
	vtd_tables(tm);
	put(tm, 3, 4, SZ_1G | ALL | PS);
	KUNIT_EXPECT_EQ(test, vtd(test, &vtd5, VTD_VA5, MOCK_ACC_WRITE, &leaf,
				  &fault), 0);
	KUNIT_EXPECT_EQ(test, get(tm, 3, 4) & (A | D), A | D);
	KUNIT_EXPECT_EQ(test, get(tm, 4, 5) & (A | D), 0);
}

static void vtd_update_fails(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	int ret;

	vtd_tables(tm);
	tm->rdonly = true;
	ret = vtd(test, &vtd4, VTD_VA4, 0, &leaf, &fault);
	expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_WALK_EABT, false,
			PAGE(1) + 2 * sizeof(u64));

	/* Nothing to update: nothing to fail */
	put(tm, 1, 2, get(tm, 1, 2) | A);
	put(tm, 2, 3, get(tm, 2, 3) | A);
	put(tm, 3, 4, get(tm, 3, 4) | A);
	put(tm, 4, 5, get(tm, 4, 5) | A);
	KUNIT_EXPECT_EQ(test, vtd(test, &vtd4, VTD_VA4, 0, &leaf, &fault), 0);
}

static void vtd_races(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	int ret;

	vtd_tables(tm);
	tm->races = 3;
	KUNIT_EXPECT_EQ(test, vtd(test, &vtd4, VTD_VA4, MOCK_ACC_WRITE, &leaf,
				  &fault), 0);
	KUNIT_EXPECT_EQ(test, tm->races, 0);
	KUNIT_EXPECT_EQ(test, get(tm, 4, 5) & (A | D), A | D);

	/* A guest that never stops is stopped. */
	vtd_tables(tm);
	tm->races = UINT_MAX;
	ret = vtd(test, &vtd4, VTD_VA4, 0, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_UNKNOWN, false);
}

static void expect_kept(struct kunit *test, unsigned int i, u64 gpa, u64 val,
			u64 size)
{
	struct test_mem *tm = test->priv;

	KUNIT_EXPECT_EQ(test, tm->keep[i].gpa, gpa);
	KUNIT_EXPECT_EQ(test, tm->keep[i].val, val);
	KUNIT_EXPECT_EQ(test, tm->keep[i].size, size);
}

/* What may be cached of the way: with the accessed flag set, and never a page */
static void vtd_keep(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;

	tm->mem.keep = test_keep;
	vtd_tables(tm);
	put(tm, 4, 5, 0);
	vtd(test, &vtd5, VTD_VA5, 0, &leaf, &fault);
	KUNIT_EXPECT_EQ(test, tm->kept, 0);

	vtd_tables(tm);
	KUNIT_EXPECT_EQ(test, vtd(test, &vtd5, VTD_VA5, 0, &leaf, &fault), 0);
	KUNIT_EXPECT_EQ(test, tm->kept, 4);
	expect_kept(test, 0, PAGE(0) + 1 * 8, PAGE(1) | ALL | A, BIT_ULL(48));
	expect_kept(test, 1, PAGE(1) + 2 * 8, PAGE(2) | ALL | A, 512ULL * SZ_1G);
	expect_kept(test, 2, PAGE(2) + 3 * 8, PAGE(3) | ALL | A, SZ_1G);
	expect_kept(test, 3, PAGE(3) + 4 * 8, PAGE(4) | ALL | A, SZ_2M);
}

/* A table that is its own next level ends after the last level all the same. */
static void vtd_loop(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_vtd_table table = { .root = PAGE(0), .levels = 5 };
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	unsigned int i;

	for (i = 0; i < PAGE_DWORDS; i++)
		put(tm, 0, i, PAGE(0) | ALL | A);
	KUNIT_EXPECT_EQ(test, vtd(test, &table, VTD_VA5, 0, &leaf, &fault), 0);
	expect_leaf(test, &leaf, VTD_VA5 & ~0xfffULL, PAGE(0), SZ_4K);
	KUNIT_EXPECT_EQ(test, tm->loads, 5);
}

/* Addresses at the upper end do not wrap. */
static void vtd_overflow(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	u64 top = GENMASK_ULL(MOCK_GPA_BITS - 1, 12);
	struct mock_vtd_table table = { .root = top, .levels = 5 };
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	int ret;

	ret = vtd(test, &table, U64_MAX, 0, &leaf, &fault);
	expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_WALK_EABT, false,
			top + 511 * sizeof(u64));

	put(tm, 1, 511, PAGE(2) | ALL);
	put(tm, 2, 511, (top & ~(SZ_1G - 1ULL)) | ALL | PS);
	KUNIT_EXPECT_EQ(test, vtd(test, &vtd4, U64_MAX, 0, &leaf, &fault), 0);
	expect_leaf(test, &leaf, ~(SZ_1G - 1ULL), BIT_ULL(MOCK_GPA_BITS) - SZ_1G,
		    SZ_1G);
}

/* SMMUv3 context descriptors */
#define CD_IPS_48	(5ULL << 32)
#define CD_AA64		BIT_ULL(41)
#define CD_V		BIT_ULL(31)
#define CD_EPD1		BIT_ULL(30)
#define CD_ASID(x)	((u64)(x) << 48)
#define CD_GOOD		(CD_V | CD_AA64 | CD_IPS_48 | CD_EPD1 | CD_ASID(7) | 16)

/* Put a descriptor at index @cd of @page; its table is page 7. */
static void put_cd(struct test_mem *tm, unsigned int page, unsigned int cd,
		   u64 dw0)
{
	put(tm, page, cd * 8, dw0);
	put(tm, page, cd * 8 + 1, PAGE(7));
	put(tm, page, cd * 8 + 2, PAGE(6));
}

static int fetch(struct kunit *test, const struct mock_cd_table *table,
		 u32 index, struct mock_cd *cd, struct mock_s1_fault *fault)
{
	struct test_mem *tm = test->priv;

	memset(fault, 0, sizeof(*fault));
	return mock_cd_fetch(&tm->mem, table, index, cd, fault);
}

static void cd_selection(struct kunit *test)
{
	static const struct {
		u8 bits, s1dss;
		bool has_pasid;
		u32 pasid;
		int ret;
		u32 index;
	} cases[] = {
		/* One descriptor, for requests without PASID */
		{ 0, IOMMU_PASID_SMMUV3_S1DSS_TERMINATE, false, 0, 0, 0 },
		{ 0, IOMMU_PASID_SMMUV3_S1DSS_SSID0, true, 0, -EFAULT },
		{ 0, IOMMU_PASID_SMMUV3_S1DSS_SSID0, true, 1, -EFAULT },
		/* Several */
		{ 4, IOMMU_PASID_SMMUV3_S1DSS_TERMINATE, false, 0, -EFAULT },
		{ 4, IOMMU_PASID_SMMUV3_S1DSS_BYPASS, false, 0, 1 },
		{ 4, IOMMU_PASID_SMMUV3_S1DSS_SSID0, false, 0, 0, 0 },
		{ 4, IOMMU_PASID_SMMUV3_S1DSS_TERMINATE, true, 0, 0, 0 },
		{ 4, IOMMU_PASID_SMMUV3_S1DSS_BYPASS, true, 0, 0, 0 },
		{ 4, IOMMU_PASID_SMMUV3_S1DSS_SSID0, true, 0, -EFAULT },
		{ 4, IOMMU_PASID_SMMUV3_S1DSS_SSID0, true, 15, 0, 15 },
		{ 4, IOMMU_PASID_SMMUV3_S1DSS_SSID0, true, 16, -EFAULT },
		{ 20, IOMMU_PASID_SMMUV3_S1DSS_SSID0, true, 0xfffff, 0, 0xfffff },
	};
	struct mock_s1_fault fault;
	unsigned int i;
	u32 index;
	int ret;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mock_cd_table table = {
			.bits = cases[i].bits,
			.s1dss = cases[i].s1dss,
		};

		ret = mock_cd_select(&table, cases[i].has_pasid, cases[i].pasid,
				     &index, &fault);
		KUNIT_EXPECT_EQ_MSG(test, ret, cases[i].ret, "case %u", i);
		if (!ret)
			KUNIT_EXPECT_EQ(test, index, cases[i].index);
		if (ret < 0)
			expect_fault(test, ret, &fault,
				     IOMMU_FAULT_REASON_PASID_INVALID, false);
	}
}

static void cd_linear(struct kunit *test)
{
	struct mock_cd_table table = { .base = PAGE(0), .bits = 8 };
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_cd cd;
	int ret;

	put_cd(tm, 1, 3, CD_GOOD);
	KUNIT_EXPECT_EQ(test, fetch(test, &table, 64 + 3, &cd, &fault), 0);
	KUNIT_EXPECT_EQ(test, cd.asid, 7);
	KUNIT_EXPECT_EQ(test, cd.ttb[0], PAGE(7));
	KUNIT_EXPECT_EQ(test, cd.bits[0], 48);
	KUNIT_EXPECT_EQ(test, cd.out_bits, 48);
	KUNIT_EXPECT_FALSE(test, cd.epd[0]);
	KUNIT_EXPECT_TRUE(test, cd.epd[1]);

	ret = fetch(test, &table, 64 + 4, &cd, &fault);
	expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_PASID_INVALID,
			false, PAGE(1) + 4 * 64);
	table.base = PAGE(NR_PAGES - 1);
	ret = fetch(test, &table, 64, &cd, &fault);
	expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_PASID_FETCH, false,
			PAGE(NR_PAGES));
}

/* Each field is found where it is, and does not spill into others. */
static void cd_fields(struct kunit *test)
{
	static const struct {
		u64 dw0;
		struct mock_cd cd;
	} cases[] = {
		{ 0, { .out_bits = 32 } },
		{ 1ULL << 32, { .out_bits = 36 } },
		{ 2ULL << 32, { .out_bits = 40 } },
		{ 3ULL << 32, { .out_bits = 42 } },
		{ 4ULL << 32, { .out_bits = 44 } },
		{ 5ULL << 32, { .out_bits = 48 } },
		{ 6ULL << 32, { .out_bits = 48 } },
		{ 7ULL << 32, { .out_bits = 48 } },
		{ BIT_ULL(35), { .out_bits = 32, .affd = true } },
		{ BIT_ULL(36), { .out_bits = 32, .wxn = true } },
		{ BIT_ULL(38), { .out_bits = 32, .tbi = { true, false } } },
		{ BIT_ULL(39), { .out_bits = 32, .tbi = { false, true } } },
		{ BIT_ULL(40), { .out_bits = 32, .pan = true } },
		/* The dirty state is managed only together with the access flag. */
		{ BIT_ULL(42), { .out_bits = 32 } },
		{ BIT_ULL(43), { .out_bits = 32, .ha = true } },
		{ BIT_ULL(43) | BIT_ULL(42),
		  { .out_bits = 32, .ha = true, .hd = true } },
		{ CD_ASID(0xffff), { .out_bits = 32, .asid = 0xffff } },
		/* Cacheability and shareability do not matter here. */
		{ GENMASK_ULL(13, 8) | GENMASK_ULL(29, 24), { .out_bits = 32 } },
	};
	struct mock_cd_table table = { .base = PAGE(0) };
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_cd cd, want;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		/* Both halves: T0SZ and T1SZ, TG0 and TG1 */
		put_cd(tm, 0, 0, cases[i].dw0 | CD_V | CD_AA64 | 39 | 17 << 16 |
				 2 << 22);
		put(tm, 0, 1, PAGE(7) | BIT_ULL(52) | BIT_ULL(4) | BIT_ULL(1));
		put(tm, 0, 2, GENMASK_ULL(47, 4));
		want = cases[i].cd;
		want.ttb[0] = PAGE(7) | BIT_ULL(4);
		want.ttb[1] = GENMASK_ULL(47, 4);
		want.had[0] = true;
		want.bits[0] = 25;
		want.bits[1] = 47;
		KUNIT_EXPECT_EQ(test, fetch(test, &table, 0, &cd, &fault), 0);
		KUNIT_EXPECT_EQ_MSG(test, cd.out_bits, want.out_bits,
				    "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, cd.asid, want.asid, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, cd.ha, want.ha, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, cd.hd, want.hd, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, cd.affd, want.affd, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, cd.wxn, want.wxn, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, cd.pan, want.pan, "case %u", i);
		KUNIT_EXPECT_MEMEQ(test, cd.ttb, want.ttb, sizeof(cd.ttb));
		KUNIT_EXPECT_MEMEQ(test, cd.bits, want.bits, sizeof(cd.bits));
		KUNIT_EXPECT_MEMEQ(test, cd.epd, want.epd, sizeof(cd.epd));
		KUNIT_EXPECT_MEMEQ(test, cd.had, want.had, sizeof(cd.had));
		KUNIT_EXPECT_MEMEQ(test, cd.tbi, want.tbi, sizeof(cd.tbi));
	}
}

static void cd_two_levels(struct kunit *test)
{
	struct mock_cd_table table = {
		.base = PAGE(0),
		.s1fmt = IOMMU_PASID_SMMUV3_S1FMT_4K_L2,
		.bits = 20,
	};
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_cd cd;
	int ret;

	/* 64 descriptors in a leaf of 4 KiB */
	put(tm, 0, 9, PAGE(1) | BIT_ULL(52) | 1);
	put_cd(tm, 1, 63, CD_GOOD);
	KUNIT_EXPECT_EQ(test, fetch(test, &table, 9 * 64 + 63, &cd, &fault), 0);

	ret = fetch(test, &table, 10 * 64 + 5, &cd, &fault);
	expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_PASID_INVALID,
			false, PAGE(0) + 10 * sizeof(u64));
	put(tm, 0, 10, PAGE(NR_PAGES) | 1);
	ret = fetch(test, &table, 10 * 64, &cd, &fault);
	expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_PASID_FETCH, false,
			PAGE(NR_PAGES));
	table.base = PAGE(NR_PAGES);
	ret = fetch(test, &table, 10 * 64, &cd, &fault);
	expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_PASID_FETCH, false,
			PAGE(NR_PAGES) + 10 * sizeof(u64));

	/* 1024 in one of 64 KiB: the 65th is in its second page. */
	table.base = PAGE(1);
	table.s1fmt = IOMMU_PASID_SMMUV3_S1FMT_64K_L2;
	put(tm, 1, 3, PAGE(0) | 1);
	put_cd(tm, 2, 5, 0);
	put_cd(tm, 3, 1, CD_GOOD);
	KUNIT_EXPECT_EQ(test, fetch(test, &table, 3 * 1024 + 3 * 64 + 1, &cd,
				    &fault), 0);
}

static void cd_malformed(struct kunit *test)
{
	static const struct {
		u64 dw0;
		enum iommu_fault_reason reason;
	} cases[] = {
		{ CD_GOOD & ~CD_V, IOMMU_FAULT_REASON_PASID_INVALID },
		{ CD_GOOD & ~CD_AA64, IOMMU_FAULT_REASON_BAD_PASID_ENTRY },
		/* Big endian; stall */
		{ CD_GOOD | BIT_ULL(15), IOMMU_FAULT_REASON_BAD_PASID_ENTRY },
		{ CD_GOOD | BIT_ULL(44), IOMMU_FAULT_REASON_BAD_PASID_ENTRY },
		/* Granule of 64 KiB, of 16 KiB */
		{ CD_GOOD | 1 << 6, IOMMU_FAULT_REASON_BAD_PASID_ENTRY },
		{ CD_GOOD | 2 << 6, IOMMU_FAULT_REASON_BAD_PASID_ENTRY },
		/* T0SZ of 15, of 40 */
		{ (CD_GOOD & ~0x3fULL) | 15, IOMMU_FAULT_REASON_BAD_PASID_ENTRY },
		{ (CD_GOOD & ~0x3fULL) | 40, IOMMU_FAULT_REASON_BAD_PASID_ENTRY },
		/* High addresses enabled, with T1SZ and TG1 of zero; with TG1 of 16 KiB */
		{ CD_GOOD & ~CD_EPD1, IOMMU_FAULT_REASON_BAD_PASID_ENTRY },
		{ (CD_GOOD & ~CD_EPD1) | 16 << 16 | 1 << 22,
		  IOMMU_FAULT_REASON_BAD_PASID_ENTRY },
	};
	struct mock_cd_table table = { .base = PAGE(0) };
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_cd cd;
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		put_cd(tm, 0, 0, cases[i].dw0);
		ret = fetch(test, &table, 0, &cd, &fault);
		KUNIT_EXPECT_EQ_MSG(test, ret, -EFAULT, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, fault.reason, cases[i].reason,
				    "case %u", i);
	}

	/* Table outside of guest-physical addresses */
	put_cd(tm, 0, 0, CD_GOOD);
	put(tm, 0, 1, BIT_ULL(48));
	ret = fetch(test, &table, 0, &cd, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_BAD_PASID_ENTRY,
		     false);
}

/* Arm descriptors */
#define VALID		BIT_ULL(0)
#define TABLE		(VALID | BIT_ULL(1))
#define AF		BIT_ULL(10)
#define USER		BIT_ULL(6)
#define RDONLY		BIT_ULL(7)
#define DBM		BIT_ULL(51)
#define PXN		BIT_ULL(53)
#define UXN		BIT_ULL(54)
#define PXN_TABLE	BIT_ULL(59)
#define UXN_TABLE	BIT_ULL(60)
#define NO_USER_TABLE	BIT_ULL(61)
#define RDONLY_TABLE	BIT_ULL(62)
#define BLOCK		(VALID | AF | USER)
#define LEAF		(TABLE | AF | USER)

#define ARM_VA	(BIT_ULL(39) | 2ULL << 30 | 3ULL << 21 | 4ULL << 12 | 0x678)

/* Four levels, in the pages 0 to 3 */
static void arm_tables(struct test_mem *tm)
{
	put(tm, 0, 1, PAGE(1) | TABLE);
	put(tm, 1, 2, PAGE(2) | TABLE);
	put(tm, 2, 3, PAGE(3) | TABLE);
	put(tm, 3, 4, 0x7654321000 | LEAF);
}

static const struct mock_cd cd48 = {
	.ttb = { PAGE(0) },
	.bits = { 48 },
	.epd = { false, true },
	.out_bits = 48,
};

static int arm(struct kunit *test, const struct mock_cd *cd, u64 va,
	       unsigned int acc, struct mock_leaf *leaf,
	       struct mock_s1_fault *fault)
{
	struct test_mem *tm = test->priv;

	memset(leaf, 0, sizeof(*leaf));
	memset(fault, 0, sizeof(*fault));
	return mock_arm_walk(&tm->mem, cd, mock_arm_untagged(cd, va), acc, leaf,
			     fault);
}

static void arm_levels(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	struct mock_cd cd = cd48;

	arm_tables(tm);
	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA, 0, &leaf, &fault), 0);
	expect_leaf(test, &leaf, ARM_VA & ~0xfffULL, 0x7654321000, SZ_4K);

	/* What is below the alignment of the first table does not count. */
	cd.ttb[0] |= 0x10;
	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA, 0, &leaf, &fault), 0);
	/* 40 bits: the first table has two entries only. */
	cd.bits[0] = 40;
	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA, 0, &leaf, &fault), 0);
	/* 39 bits: begin at level 1 */
	cd.bits[0] = 39;
	cd.ttb[0] = PAGE(1);
	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA & GENMASK(38, 0), 0, &leaf,
				  &fault), 0);
	/* 30 bits: at level 2. 25 bits: likewise, with 16 entries */
	cd.bits[0] = 30;
	cd.ttb[0] = PAGE(2);
	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA & GENMASK(29, 0), 0, &leaf,
				  &fault), 0);
	cd.bits[0] = 25;
	cd.ttb[0] = PAGE(2) + 16 * sizeof(u64);
	put(tm, 2, 16 + 3, PAGE(3) | TABLE);
	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA & GENMASK(24, 0), 0, &leaf,
				  &fault), 0);
	KUNIT_EXPECT_EQ(test, leaf.gpa, 0x7654321000);
	KUNIT_EXPECT_EQ(test, tm->loads, 4 + 4 + 4 + 3 + 2 + 2);
}

static void arm_blocks(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;

	arm_tables(tm);
	put(tm, 2, 3, (0x5432ULL << 21) | BLOCK);
	KUNIT_EXPECT_EQ(test, arm(test, &cd48, ARM_VA, 0, &leaf, &fault), 0);
	expect_leaf(test, &leaf, ARM_VA & ~(SZ_2M - 1ULL), 0x5432ULL << 21,
		    SZ_2M);
	put(tm, 1, 2, (0x321ULL << 30) | BLOCK);
	KUNIT_EXPECT_EQ(test, arm(test, &cd48, ARM_VA, 0, &leaf, &fault), 0);
	expect_leaf(test, &leaf, ARM_VA & ~(SZ_1G - 1ULL), 0x321ULL << 30,
		    SZ_1G);
}

static void arm_malformed(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	struct mock_cd cd = cd48;
	unsigned int page;
	int ret;

	for (page = 0; page < 4; page++) {
		arm_tables(tm);
		put(tm, page, page + 1, get(tm, page, page + 1) & ~VALID);
		ret = arm(test, &cd48, ARM_VA, 0, &leaf, &fault);
		expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_PTE_FETCH,
				true, PAGE(page) + (page + 1) * sizeof(u64));
	}

	/* No block at level 0 nor at level 3 */
	arm_tables(tm);
	put(tm, 0, 1, BLOCK);
	ret = arm(test, &cd48, ARM_VA, 0, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_PTE_FETCH, false);
	arm_tables(tm);
	put(tm, 3, 4, BLOCK);
	ret = arm(test, &cd48, ARM_VA, 0, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_PTE_FETCH, false);

	/* Output addresses are wider than the descriptor says. */
	arm_tables(tm);
	cd.out_bits = 36;
	ret = arm(test, &cd, ARM_VA, 0, &leaf, &fault);
	expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_PTE_FETCH, false,
			PAGE(0) + sizeof(u64));

	arm_tables(tm);
	put(tm, 1, 2, PAGE(NR_PAGES) | TABLE);
	ret = arm(test, &cd48, ARM_VA, 0, &leaf, &fault);
	expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_WALK_EABT, false,
			PAGE(NR_PAGES) + 3 * sizeof(u64));
}

static void arm_range(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	struct mock_cd cd = cd48;
	int ret;

	arm_tables(tm);
	ret = arm(test, &cd, ARM_VA | BIT_ULL(48), 0, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_OOR_ADDRESS, false);
	ret = arm(test, &cd, ARM_VA | BIT_ULL(60), 0, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_OOR_ADDRESS, false);
	/* The high half is not enabled. */
	ret = arm(test, &cd, ARM_VA | GENMASK_ULL(63, 48), 0, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_OOR_ADDRESS, false);

	/* The top byte is ignored, and no part of what is cached. */
	cd.tbi[0] = true;
	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA | GENMASK_ULL(63, 60), 0,
				  &leaf, &fault), 0);
	KUNIT_EXPECT_EQ(test, leaf.va, ARM_VA & ~0xfffULL);
	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA | BIT_ULL(56), 0, &leaf,
				  &fault), 0);
	KUNIT_EXPECT_EQ(test, leaf.va, ARM_VA & ~0xfffULL);
	ret = arm(test, &cd, ARM_VA | BIT_ULL(54), 0, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_OOR_ADDRESS, false);

	/* The other half, with the other table */
	cd.epd[0] = true;
	cd.epd[1] = false;
	cd.bits[1] = 48;
	cd.ttb[1] = PAGE(0);
	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA | GENMASK_ULL(63, 48), 0,
				  &leaf, &fault), 0);
	ret = arm(test, &cd, ARM_VA, 0, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_OOR_ADDRESS, false);
	ret = arm(test, &cd, ARM_VA | GENMASK_ULL(63, 49), 0, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_OOR_ADDRESS, false);
}

static void arm_permission(struct kunit *test)
{
	static const struct {
		u64 leaf, table;
		u8 allowed;
		bool had, pan, wxn;
	} cases[] = {
#define R	BIT(0)
#define W	BIT(MOCK_ACC_WRITE)
#define X	BIT(MOCK_ACC_EXEC)
#define PR	BIT(MOCK_ACC_PRIV)
#define PW	BIT(MOCK_ACC_PRIV | MOCK_ACC_WRITE)
#define PX	BIT(MOCK_ACC_PRIV | MOCK_ACC_EXEC)
		/* What the privileged side may do with AP[2:1] */
		{ 0, 0, X | PR | PW | PX },
		{ USER, 0, R | W | X | PR | PW },
		{ RDONLY, 0, X | PR | PX },
		{ RDONLY | USER, 0, R | X | PR | PX },
		{ UXN, 0, PR | PW | PX },
		{ PXN, 0, X | PR | PW },
		{ RDONLY | USER | UXN | PXN, 0, R | PR },
		/* Tables above take away. */
		{ USER, RDONLY_TABLE, R | X | PR | PX },
		{ USER, NO_USER_TABLE, X | PR | PW | PX },
		{ RDONLY | USER, UXN_TABLE, R | PR | PX },
		{ RDONLY | USER, PXN_TABLE, R | X | PR },
		{ USER, RDONLY_TABLE | NO_USER_TABLE, R | W | X | PR | PW,
		  .had = true },
		{ USER, 0, R | W | X, .pan = true },
		{ 0, 0, X | PR | PW | PX, .pan = true },
		{ USER, 0, R | W | PR | PW, .wxn = true },
		{ 0, 0, PR | PW, .wxn = true },
		{ RDONLY | USER, 0, R | X | PR | PX, .wxn = true },
	};
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	unsigned int i, page;
	int ret;

	for (i = 0; i < ARRAY_SIZE(cases) * 3; i++) {
		unsigned int c = i / 3, acc;
		struct mock_cd cd = cd48;

		cd.had[0] = cases[c].had;
		cd.pan = cases[c].pan;
		cd.wxn = cases[c].wxn;
		page = i % 3;
		for (acc = 0; acc < MOCK_ACC_NR; acc++) {
			/* Nothing writes and executes in one. */
			if ((acc & MOCK_ACC_WRITE) && (acc & MOCK_ACC_EXEC))
				continue;
			arm_tables(tm);
			put(tm, page, page + 1,
			    get(tm, page, page + 1) | cases[c].table);
			put(tm, 3, 4, 0x1000 | TABLE | AF | cases[c].leaf);
			ret = arm(test, &cd, ARM_VA, acc, &leaf, &fault);
			KUNIT_EXPECT_EQ_MSG(test, !ret,
					    !!(cases[c].allowed & BIT(acc)),
					    "case %u access %u level %u", c,
					    acc, page);
			if (ret)
				expect_fault(test, ret, &fault,
					     IOMMU_FAULT_REASON_PERMISSION,
					     true);
		}
	}
#undef R
#undef W
#undef X
#undef PR
#undef PW
#undef PX
}

static void arm_access_flag(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	struct mock_cd cd = cd48;
	int ret;

	arm_tables(tm);
	put(tm, 3, 4, 0x1000 | (LEAF & ~AF));
	ret = arm(test, &cd, ARM_VA, 0, &leaf, &fault);
	expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_ACCESS, true,
			PAGE(3) + 4 * sizeof(u64));

	cd.affd = true;
	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA, 0, &leaf, &fault), 0);
	KUNIT_EXPECT_FALSE(test, get(tm, 3, 4) & AF);

	cd.affd = false;
	cd.ha = true;
	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA, 0, &leaf, &fault), 0);
	KUNIT_EXPECT_EQ(test, get(tm, 3, 4), 0x1000 | LEAF);
	/* Tables have none. */
	KUNIT_EXPECT_EQ(test, get(tm, 0, 1), PAGE(1) | TABLE);
}

static void arm_dirty(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	struct mock_cd cd = cd48;
	int ret;

	/* A clean page is just read-only to hardware that does not manage it. */
	arm_tables(tm);
	put(tm, 3, 4, 0x1000 | LEAF | RDONLY | DBM);
	ret = arm(test, &cd, ARM_VA, MOCK_ACC_WRITE, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_PERMISSION, true);

	cd.ha = true;
	cd.hd = true;
	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA, 0, &leaf, &fault), 0);
	KUNIT_EXPECT_TRUE(test, get(tm, 3, 4) & RDONLY);
	KUNIT_EXPECT_FALSE(test, leaf.allowed & BIT(MOCK_ACC_WRITE));

	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA, MOCK_ACC_WRITE, &leaf,
				  &fault), 0);
	KUNIT_EXPECT_FALSE(test, get(tm, 3, 4) & RDONLY);
	KUNIT_EXPECT_TRUE(test, leaf.allowed & BIT(MOCK_ACC_WRITE));

	/* Without DBM it is no clean page, but a read-only one. */
	put(tm, 3, 4, 0x1000 | LEAF | RDONLY);
	ret = arm(test, &cd, ARM_VA, MOCK_ACC_WRITE, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_PERMISSION, true);
	/* And a writable one has nothing to become. */
	put(tm, 3, 4, 0x1000 | LEAF | DBM);
	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA, 0, &leaf, &fault), 0);
	KUNIT_EXPECT_TRUE(test, leaf.allowed & BIT(MOCK_ACC_WRITE));

	/* Read-only above: nothing becomes dirty. */
	put(tm, 3, 4, 0x1000 | LEAF | RDONLY | DBM);
	put(tm, 1, 2, PAGE(2) | TABLE | RDONLY_TABLE);
	ret = arm(test, &cd, ARM_VA, MOCK_ACC_WRITE, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_PERMISSION, true);

	/* Tables that cannot be written */
	arm_tables(tm);
	put(tm, 3, 4, 0x1000 | LEAF | RDONLY | DBM);
	tm->rdonly = true;
	ret = arm(test, &cd, ARM_VA, MOCK_ACC_WRITE, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_WALK_EABT, false);

	tm->rdonly = false;
	tm->races = 2;
	KUNIT_EXPECT_EQ(test, arm(test, &cd, ARM_VA, MOCK_ACC_WRITE, &leaf,
				  &fault), 0);
	put(tm, 3, 4, 0x1000 | LEAF | RDONLY | DBM);
	tm->races = UINT_MAX;
	ret = arm(test, &cd, ARM_VA, MOCK_ACC_WRITE, &leaf, &fault);
	expect_fault(test, ret, &fault, IOMMU_FAULT_REASON_UNKNOWN, false);
}

static void arm_keep(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;

	tm->mem.keep = test_keep;
	arm_tables(tm);
	KUNIT_EXPECT_EQ(test, arm(test, &cd48, ARM_VA, 0, &leaf, &fault), 0);
	KUNIT_EXPECT_EQ(test, tm->kept, 3);
	expect_kept(test, 0, PAGE(0) + 1 * 8, PAGE(1) | TABLE, 512ULL * SZ_1G);
	expect_kept(test, 1, PAGE(1) + 2 * 8, PAGE(2) | TABLE, SZ_1G);
	expect_kept(test, 2, PAGE(2) + 3 * 8, PAGE(3) | TABLE, SZ_2M);
}

static void arm_loop(struct kunit *test)
{
	struct test_mem *tm = test->priv;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	unsigned int i;

	for (i = 0; i < PAGE_DWORDS; i++)
		put(tm, 0, i, PAGE(0) | LEAF);
	KUNIT_EXPECT_EQ(test, arm(test, &cd48, ARM_VA, 0, &leaf, &fault), 0);
	expect_leaf(test, &leaf, ARM_VA & ~0xfffULL, PAGE(0), SZ_4K);
	KUNIT_EXPECT_EQ(test, tm->loads, 4);
}

static void arm_overflow(struct kunit *test)
{
	struct mock_cd cd = cd48;
	struct mock_s1_fault fault;
	struct mock_leaf leaf;
	int ret;

	cd.ttb[0] = GENMASK_ULL(47, 12);
	ret = arm(test, &cd, BIT_ULL(48) - 1, 0, &leaf, &fault);
	expect_fault_at(test, ret, &fault, IOMMU_FAULT_REASON_WALK_EABT, false,
			BIT_ULL(48) - sizeof(u64));
}

static struct kunit_case walk_cases[] = {
	KUNIT_CASE(vtd_levels),
	KUNIT_CASE(vtd_large_pages),
	KUNIT_CASE(vtd_large_page_pat),
	KUNIT_CASE(vtd_not_present),
	KUNIT_CASE(vtd_no_memory),
	KUNIT_CASE(vtd_reserved_bits),
	KUNIT_CASE(vtd_canonical),
	KUNIT_CASE(vtd_permission),
	KUNIT_CASE(vtd_accessed_dirty),
	KUNIT_CASE(vtd_update_fails),
	KUNIT_CASE(vtd_races),
	KUNIT_CASE(vtd_keep),
	KUNIT_CASE(vtd_loop),
	KUNIT_CASE(vtd_overflow),
	KUNIT_CASE(cd_selection),
	KUNIT_CASE(cd_linear),
	KUNIT_CASE(cd_fields),
	KUNIT_CASE(cd_two_levels),
	KUNIT_CASE(cd_malformed),
	KUNIT_CASE(arm_levels),
	KUNIT_CASE(arm_blocks),
	KUNIT_CASE(arm_malformed),
	KUNIT_CASE(arm_range),
	KUNIT_CASE(arm_permission),
	KUNIT_CASE(arm_access_flag),
	KUNIT_CASE(arm_dirty),
	KUNIT_CASE(arm_keep),
	KUNIT_CASE(arm_loop),
	KUNIT_CASE(arm_overflow),
	{}
};

static struct kunit_suite walk_suite = {
	.name = "iommu-uapi-mock-walk",
	.init = walk_test_init,
	.test_cases = walk_cases,
};

kunit_test_suite(walk_suite);
