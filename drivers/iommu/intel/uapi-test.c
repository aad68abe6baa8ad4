// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of VT-d's part of the IOMMU user API: capability registers, PASID
 * table entries, descriptors and fault records. They are taken apart here by the
 * bit numbers of the specification, not by the driver's own macros.
 */
#include <kunit/test.h>
#include <linux/gfp.h>

#include "uapi.h"
#include "pasid.h"

#define DID	0x1234
#define PASID	0xabcde
#define SID	0x5678
#define PFSID	0x9abc
#define QDEP	0x15
#define MAMV	9

#define ALL_CACHES	(IOMMU_CACHE_INV_TYPE_PASID |	\
			 IOMMU_CACHE_INV_TYPE_IOTLB |	\
			 IOMMU_CACHE_INV_TYPE_DEV_IOTLB)

#define TOP_PFN		(BIT_ULL(52) - 1)

/* Bits @high to @low of @val */
static u64 bits(u64 val, unsigned int high, unsigned int low)
{
	return (val & GENMASK_ULL(high, low)) >> low;
}

static const struct intel_uapi_target with_pasid = {
	.cap = BIT_ULL(39) | (u64)MAMV << 48,
	.did = DID,
	.pasid = PASID,
	.sid = SID,
	.pfsid = PFSID,
	.qdep = QDEP,
	.ats = true,
};

static struct intel_uapi_target without_pasid(void)
{
	struct intel_uapi_target target = with_pasid;

	target.pasid = IOMMU_NO_PASID;
	return target;
}

static struct iommu_cache_invalidate_info
request(u8 cache, enum iommu_inv_granularity granularity)
{
	return (struct iommu_cache_invalidate_info) {
		.cache = cache,
		.granularity = granularity,
	};
}

/* One of the pages from @first to @last, inclusive */
static struct iommu_cache_invalidate_info
range_request(u8 cache, u64 first, u64 last)
{
	struct iommu_cache_invalidate_info inv =
		request(cache, IOMMU_INV_GRANU_ADDR);

	inv.granu.addr_info.addr = first << 12;
	inv.granu.addr_info.granule_size = 4096;
	inv.granu.addr_info.nb_granules = last - first + 1;
	return inv;
}

static void test_caps(struct kunit *test)
{
	const u64 cap = BIT_ULL(22) | BIT_ULL(39) | BIT_ULL(54) | BIT_ULL(55) |
			BIT_ULL(56) | BIT_ULL(60) | GENMASK_ULL(21, 16) |
			GENMASK_ULL(53, 48);
	const u64 ecap = BIT_ULL(31) | BIT_ULL(33) | BIT_ULL(34) | BIT_ULL(43) |
			 BIT_ULL(47) | BIT_ULL(48);
	const u64 prs = BIT_ULL(29) | BIT_ULL(42);
	struct iommu_nesting_info_vtd vtd = {};

	/* Nothing that the hardware has not */
	intel_uapi_mask_caps(&vtd, 0, 0, 20, true, true);
	KUNIT_EXPECT_EQ(test, vtd.cap, 0);
	KUNIT_EXPECT_EQ(test, vtd.ecap, 0);
	KUNIT_EXPECT_EQ(test, vtd.flags, IOMMU_NESTING_INFO_VTD_VALID);

	/* Nothing but what is listed, whatever comes */
	intel_uapi_mask_caps(&vtd, U64_MAX, U64_MAX, 0, false, false);
	KUNIT_EXPECT_EQ(test, vtd.cap, cap);
	KUNIT_EXPECT_EQ(test, vtd.ecap, ecap);
	intel_uapi_mask_caps(&vtd, U64_MAX, U64_MAX, 0, true, false);
	KUNIT_EXPECT_EQ(test, vtd.ecap, ecap | BIT_ULL(2));
	intel_uapi_mask_caps(&vtd, U64_MAX, U64_MAX, 0, true, true);
	KUNIT_EXPECT_EQ(test, vtd.ecap, ecap | BIT_ULL(2) | prs);

	/* The field holds the number of bits less one. */
	intel_uapi_mask_caps(&vtd, U64_MAX, U64_MAX, 8, false, false);
	KUNIT_EXPECT_EQ(test, vtd.ecap, ecap | BIT_ULL(40) | 7ULL << 35);
	intel_uapi_mask_caps(&vtd, U64_MAX, U64_MAX, 1, false, false);
	KUNIT_EXPECT_EQ(test, vtd.ecap, ecap | BIT_ULL(40));
}

static void test_merge(struct kunit *test)
{
	struct iommu_nesting_info a = {}, b = {};

	intel_uapi_mask_caps(&a.vendor.vtd, U64_MAX, U64_MAX, 20, true, true);
	intel_uapi_mask_caps(&b.vendor.vtd,
			     BIT_ULL(56) | 38 << 16 | (u64)MAMV << 48,
			     BIT_ULL(43) | BIT_ULL(40), 8, true, true);
	intel_uapi_info_merge(&a, &b);
	KUNIT_EXPECT_EQ(test, a.vendor.vtd.cap, b.vendor.vtd.cap);
	KUNIT_EXPECT_EQ(test, a.vendor.vtd.ecap, b.vendor.vtd.ecap);
	KUNIT_EXPECT_EQ(test, a.vendor.vtd.flags, IOMMU_NESTING_INFO_VTD_VALID);

	/* Fields are numbers: 0b0111 and 0b1000 have 0b0111 in common. */
	intel_uapi_mask_caps(&a.vendor.vtd, 7ULL << 48, BIT_ULL(40), 8, 0, 0);
	intel_uapi_mask_caps(&b.vendor.vtd, 8ULL << 48, BIT_ULL(40), 9, 0, 0);
	intel_uapi_info_merge(&a, &b);
	KUNIT_EXPECT_EQ(test, bits(a.vendor.vtd.cap, 53, 48), 7);
	KUNIT_EXPECT_EQ(test, bits(a.vendor.vtd.ecap, 39, 35), 7);
}

#define CAP_5LEVEL	BIT_ULL(60)
#define ECAP_ALL	(BIT_ULL(31) | BIT_ULL(34))	/* SRS, EAFS */
#define MAX_GPA		(BIT_ULL(39) - 1)

static int check(const struct iommu_gpasid_bind_data *data)
{
	return intel_uapi_check_bind(CAP_5LEVEL, ECAP_ALL, MAX_GPA, data);
}

static void test_check_bind(struct kunit *test)
{
	const struct iommu_gpasid_bind_data good = {
		.format = IOMMU_PASID_FORMAT_INTEL_VTD,
		.addr_width = 48,
		.gpgd = MAX_GPA & ~0xfffULL,
		.hpasid = PASID,
	};
	struct iommu_gpasid_bind_data data = good;
	unsigned int width;
	u64 flag;

	KUNIT_EXPECT_EQ(test, check(&good), 0);
	data.gpgd = 0;
	KUNIT_EXPECT_EQ(test, check(&data), 0);
	data.gpgd = MAX_GPA + 1;
	KUNIT_EXPECT_EQ(test, check(&data), -EINVAL);
	data.gpgd = U64_MAX & ~0xfffULL;
	KUNIT_EXPECT_EQ(test, check(&data), -EINVAL);
	for (flag = 1; flag < 4096; flag <<= 1) {
		data.gpgd = good.gpgd | flag;
		KUNIT_EXPECT_EQ(test, check(&data), -EINVAL);
	}

	data = good;
	data.format = IOMMU_PASID_FORMAT_ARM_SMMUV3;
	KUNIT_EXPECT_EQ(test, check(&data), -EINVAL);

	data = good;
	for (width = 0; width <= 65; width++) {
		data.addr_width = width;
		KUNIT_EXPECT_EQ(test, check(&data),
				width == 48 || width == 57 ? 0 : -EINVAL);
	}
	data.addr_width = 57;
	KUNIT_EXPECT_EQ(test, intel_uapi_check_bind(0, ECAP_ALL, MAX_GPA, &data),
			-EINVAL);

	/* PASID 0 by number, and PASIDs for the requests without */
	data = good;
	data.hpasid = 0;
	KUNIT_EXPECT_EQ(test, check(&data), -EINVAL);
	data.flags = IOMMU_SVA_NO_PASID;
	KUNIT_EXPECT_EQ(test, check(&data), 0);
	data.hpasid = PASID;
	KUNIT_EXPECT_EQ(test, check(&data), -EINVAL);

	data = good;
	data.vendor.vtd.pat = 1;
	KUNIT_EXPECT_EQ(test, check(&data), -EINVAL);
	data = good;
	data.vendor.vtd.emt = 1;
	KUNIT_EXPECT_EQ(test, check(&data), -EINVAL);
}

static void test_check_flags(struct kunit *test)
{
	struct iommu_gpasid_bind_data data = {
		.format = IOMMU_PASID_FORMAT_INTEL_VTD,
		.addr_width = 48,
		.hpasid = PASID,
	};
	u64 *flags = &data.vendor.vtd.flags;
	unsigned int i;

	for (i = 0; i < 64; i++) {
		*flags = BIT_ULL(i);
		KUNIT_EXPECT_EQ_MSG(test, check(&data),
				    i == 0 || i == 1 ? 0 : -EINVAL,
				    "flag %u", i);
		/* Without any of it in hardware */
		KUNIT_EXPECT_EQ(test, intel_uapi_check_bind(0, 0, MAX_GPA, &data),
				-EINVAL);
	}
	*flags = IOMMU_SVA_VTD_GPASID_SRE | IOMMU_SVA_VTD_GPASID_WPE |
		 IOMMU_SVA_VTD_GPASID_EAFE;
	KUNIT_EXPECT_EQ(test, check(&data), 0);
	/* SRS, but no EAFS, and the other way round */
	KUNIT_EXPECT_EQ(test, intel_uapi_check_bind(0, BIT_ULL(31), MAX_GPA, &data),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, intel_uapi_check_bind(0, BIT_ULL(34), MAX_GPA, &data),
			-EINVAL);
}

/* A nested domain on a second stage of four levels */
static struct dmar_domain *make_domain(struct kunit *test,
				       struct dmar_domain *s2, u64 pgd,
				       u32 width, u64 flags)
{
	struct dmar_domain *domain;

	domain = kunit_kzalloc(test, sizeof(*domain), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, domain);
	domain->s2_domain = s2;
	domain->s1_pgtbl = pgd;
	domain->s1_cfg.pgtbl_addr = pgd;
	domain->s1_cfg.addr_width = width;
	domain->s1_cfg.flags = flags;
	return domain;
}

static void test_pasid_entry(struct kunit *test)
{
	const u64 pgd = 0x7f5555555000ULL;
	struct intel_iommu *iommu;
	struct pasid_entry pte;
	struct dmar_domain *s2;
	unsigned int i;
	u64 slptr;

	iommu = kunit_kzalloc(test, sizeof(*iommu), GFP_KERNEL);
	s2 = kunit_kzalloc(test, sizeof(*s2), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, iommu);
	KUNIT_ASSERT_NOT_NULL(test, s2);
	s2->pgd = (void *)get_zeroed_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, s2->pgd);
	s2->agaw = 2;
	slptr = virt_to_phys(s2->pgd);

	/* Whatever was there before */
	memset(&pte, 0xff, sizeof(pte));
	intel_pasid_make_nested(&pte, iommu, make_domain(test, s2, pgd, 48, 0),
				DID);
	/* P clear, FPD clear, AW 4 levels, PGTT nested, SLADE clear, SLPTPTR */
	KUNIT_EXPECT_EQ(test, pte.val[0], 2 << 2 | 3 << 6 | slptr);
	/* DID; PWSNP and PGSNP clear */
	KUNIT_EXPECT_EQ(test, pte.val[1], DID);
	/* SRE, FLPM, WPE, EAFE clear; FLPTPTR */
	KUNIT_EXPECT_EQ(test, pte.val[2], pgd);
	for (i = 3; i < 8; i++)
		KUNIT_EXPECT_EQ(test, pte.val[i], 0);

	iommu->ecap = BIT_ULL(48);	/* SMPWC */
	s2->force_snooping = true;
	s2->agaw = 3;
	intel_pasid_make_nested(&pte, iommu,
				make_domain(test, s2, pgd, 57,
					    IOMMU_VTD_S1_SRE | IOMMU_VTD_S1_WPE |
					    IOMMU_VTD_S1_EAFE), U16_MAX);
	KUNIT_EXPECT_EQ(test, pte.val[0], 3 << 2 | 3 << 6 | slptr);
	KUNIT_EXPECT_EQ(test, pte.val[1], U16_MAX | BIT_ULL(23) | BIT_ULL(24));
	KUNIT_EXPECT_EQ(test, pte.val[2],
			pgd | BIT_ULL(0) | BIT_ULL(2) | BIT_ULL(4) | BIT_ULL(7));

	/* One by one; write protection is nothing without supervisor requests. */
	intel_pasid_make_nested(&pte, iommu,
				make_domain(test, s2, pgd, 48, IOMMU_VTD_S1_SRE),
				DID);
	KUNIT_EXPECT_EQ(test, pte.val[2], pgd | BIT_ULL(0));
	intel_pasid_make_nested(&pte, iommu,
				make_domain(test, s2, pgd, 48, IOMMU_VTD_S1_WPE),
				DID);
	KUNIT_EXPECT_EQ(test, pte.val[2], pgd);
	intel_pasid_make_nested(&pte, iommu,
				make_domain(test, s2, pgd, 48, IOMMU_VTD_S1_EAFE),
				DID);
	KUNIT_EXPECT_EQ(test, pte.val[2], pgd | BIT_ULL(7));

	/* An unaligned table must not set fields that are not its own. */
	intel_pasid_make_nested(&pte, iommu,
				make_domain(test, s2, pgd | 0xfff, 48, 0), DID);
	KUNIT_EXPECT_EQ(test, pte.val[2], pgd);

	free_page((unsigned long)s2->pgd);
}

static void expect_iotlb(struct kunit *test, const struct qi_desc *desc,
			 const struct intel_uapi_target *target)
{
	KUNIT_EXPECT_EQ(test, bits(desc->qw0, 3, 0), 6);
	KUNIT_EXPECT_EQ(test, bits(desc->qw0, 15, 6), 0);
	KUNIT_EXPECT_EQ(test, bits(desc->qw0, 31, 16), target->did);
	KUNIT_EXPECT_EQ(test, bits(desc->qw0, 51, 32), target->pasid);
	KUNIT_EXPECT_EQ(test, bits(desc->qw0, 63, 52), 0);
	KUNIT_EXPECT_EQ(test, bits(desc->qw1, 11, 7), 0);
	KUNIT_EXPECT_EQ(test, desc->qw2, 0);
	KUNIT_EXPECT_EQ(test, desc->qw3, 0);
}

static void expect_dev_tlb(struct kunit *test, const struct qi_desc *desc,
			   const struct intel_uapi_target *target)
{
	KUNIT_EXPECT_EQ(test, bits(desc->qw0, 15, 12), target->pfsid & 0xf);
	KUNIT_EXPECT_EQ(test, bits(desc->qw0, 63, 52), target->pfsid >> 4);
	if (target->pasid == IOMMU_NO_PASID) {
		KUNIT_EXPECT_EQ(test, bits(desc->qw0, 3, 0), 3);
		KUNIT_EXPECT_EQ(test, bits(desc->qw0, 11, 4), 0);
		KUNIT_EXPECT_EQ(test, bits(desc->qw0, 20, 16), target->qdep);
		KUNIT_EXPECT_EQ(test, bits(desc->qw0, 31, 21), 0);
		KUNIT_EXPECT_EQ(test, bits(desc->qw0, 47, 32), target->sid);
		KUNIT_EXPECT_EQ(test, bits(desc->qw0, 51, 48), 0);
		KUNIT_EXPECT_EQ(test, bits(desc->qw1, 11, 1), 0);
	} else {
		KUNIT_EXPECT_EQ(test, bits(desc->qw0, 3, 0), 8);
		KUNIT_EXPECT_EQ(test, bits(desc->qw0, 8, 4), target->qdep);
		KUNIT_EXPECT_EQ(test, bits(desc->qw0, 11, 9), 0);
		KUNIT_EXPECT_EQ(test, bits(desc->qw0, 31, 16), target->sid);
		KUNIT_EXPECT_EQ(test, bits(desc->qw0, 51, 32), target->pasid);
		KUNIT_EXPECT_EQ(test, bits(desc->qw1, 10, 0), 0);
	}
	KUNIT_EXPECT_EQ(test, desc->qw2, 0);
	KUNIT_EXPECT_EQ(test, desc->qw3, 0);
}

static void expect_pasid_cache(struct kunit *test, const struct qi_desc *desc,
			       const struct intel_uapi_target *target)
{
	/* PASID-selective within the domain */
	KUNIT_EXPECT_EQ(test, desc->qw0, 7 | 1 << 4 | (u64)target->did << 16 |
			(u64)target->pasid << 32);
	KUNIT_EXPECT_EQ(test, desc->qw1, 0);
	KUNIT_EXPECT_EQ(test, desc->qw2, 0);
	KUNIT_EXPECT_EQ(test, desc->qw3, 0);
}

static void expect_fence(struct kunit *test, const struct qi_desc *desc)
{
	/* FN, but neither SW nor IF */
	KUNIT_EXPECT_EQ(test, desc->qw0, 5 | 1 << 6);
	KUNIT_EXPECT_EQ(test, desc->qw1, 0);
}

/* All that the device or the IOMMU has of the PASID */
static void expect_all_iotlb(struct kunit *test, const struct qi_desc *desc)
{
	KUNIT_EXPECT_EQ(test, bits(desc->qw0, 5, 4), 2);
	KUNIT_EXPECT_EQ(test, desc->qw1, 0);
}

static void expect_all_dev_tlb(struct kunit *test, const struct qi_desc *desc,
			       const struct intel_uapi_target *target)
{
	/* S, and the lowest zero in the address is its highest bit. */
	KUNIT_EXPECT_EQ(test, desc->qw1, GENMASK_ULL(62, 12) |
			(target->pasid == IOMMU_NO_PASID ? BIT_ULL(0) :
							   BIT_ULL(11)));
}

static void check_order(struct kunit *test,
			const struct intel_uapi_target *target)
{
	struct qi_desc descs[INTEL_UAPI_MAX_DESCS];
	struct iommu_cache_invalidate_info inv;
	unsigned int cache, n, i;

	for (cache = 0; cache <= ALL_CACHES; cache++) {
		inv = request(cache, IOMMU_INV_GRANU_PASID);
		n = intel_uapi_make_descs(descs, target, &inv);
		i = 0;
		if (cache & IOMMU_CACHE_INV_TYPE_PASID)
			expect_pasid_cache(test, &descs[i++], target);
		if (cache & IOMMU_CACHE_INV_TYPE_IOTLB) {
			if (i)
				expect_fence(test, &descs[i++]);
			expect_iotlb(test, &descs[i], target);
			expect_all_iotlb(test, &descs[i++]);
		}
		if (cache & IOMMU_CACHE_INV_TYPE_DEV_IOTLB) {
			if (i)
				expect_fence(test, &descs[i++]);
			expect_dev_tlb(test, &descs[i], target);
			expect_all_dev_tlb(test, &descs[i++], target);
		}
		KUNIT_EXPECT_EQ(test, n, i);
	}
}

static void test_caches_in_order(struct kunit *test)
{
	struct intel_uapi_target target = without_pasid();

	check_order(test, &with_pasid);
	check_order(test, &target);
}

static void test_granularities(struct kunit *test)
{
	struct qi_desc descs[INTEL_UAPI_MAX_DESCS];
	struct iommu_cache_invalidate_info inv;

	/* All of the device's bindings: the core asks for each of them. */
	inv = request(IOMMU_CACHE_INV_TYPE_IOTLB, IOMMU_INV_GRANU_DOMAIN);
	KUNIT_ASSERT_EQ(test, intel_uapi_make_descs(descs, &with_pasid, &inv), 1);
	expect_iotlb(test, descs, &with_pasid);
	expect_all_iotlb(test, descs);

	inv = request(IOMMU_CACHE_INV_TYPE_PASID, IOMMU_INV_GRANU_DOMAIN);
	KUNIT_ASSERT_EQ(test, intel_uapi_make_descs(descs, &with_pasid, &inv), 1);
	expect_pasid_cache(test, descs, &with_pasid);

	/* One page, all entries on the way to it or the leaf only */
	inv = range_request(IOMMU_CACHE_INV_TYPE_IOTLB, 0x12345, 0x12345);
	KUNIT_ASSERT_EQ(test, intel_uapi_make_descs(descs, &with_pasid, &inv), 1);
	expect_iotlb(test, descs, &with_pasid);
	KUNIT_EXPECT_EQ(test, bits(descs[0].qw0, 5, 4), 3);
	KUNIT_EXPECT_EQ(test, descs[0].qw1, 0x12345000ULL);
	inv.granu.addr_info.flags = IOMMU_INV_ADDR_FLAGS_LEAF;
	KUNIT_ASSERT_EQ(test, intel_uapi_make_descs(descs, &with_pasid, &inv), 1);
	KUNIT_EXPECT_EQ(test, descs[0].qw1, 0x12345000ULL | BIT_ULL(6));
}

/*
 * Pages that @n descriptors cover, from @first to @last without a gap, in
 * order. Returns false if there is one.
 */
static bool covers(struct kunit *test, const struct qi_desc *descs,
		   unsigned int n, const struct intel_uapi_target *target,
		   u64 first, u64 last, u64 *excess)
{
	u64 next = first, pages = 0;
	unsigned int i, order;

	for (i = 0; i < n; i++) {
		u64 qw1 = descs[i].qw1, pfn = bits(qw1, 63, 12);

		if (bits(descs[i].qw0, 3, 0) == 6) {
			expect_iotlb(test, &descs[i], target);
			if (bits(descs[i].qw0, 5, 4) == 2) {
				*excess = U64_MAX;
				return n == 1;
			}
			order = bits(qw1, 5, 0);
			KUNIT_EXPECT_LE(test, order, bits(target->cap, 53, 48));
			/* The hardware ignores these address bits. */
			KUNIT_EXPECT_EQ(test, pfn & (BIT_ULL(order) - 1), 0);
		} else {
			expect_dev_tlb(test, &descs[i], target);
			order = 0;
			if (qw1 & (target->pasid == IOMMU_NO_PASID ?
				   BIT_ULL(0) : BIT_ULL(11)))
				order = ffz(pfn) + 1;
			pfn &= ~(BIT_ULL(order) - 1);
		}
		if (pfn > next)
			return false;
		next = pfn + BIT_ULL(order);
		pages += BIT_ULL(order);
	}
	*excess = pages - (last - first + 1);
	return next > last;
}

static const struct {
	u64 first, last;
} ranges[] = {
	{ 0, 0 },
	{ 0, 1 },
	{ 1, 1 },
	{ 1, 2 },
	{ 1, 6 },
	{ 1, 14 },
	{ 1, 30 },
	{ 0, BIT_ULL(MAMV) - 1 },
	{ 0, BIT_ULL(MAMV) },
	{ 1, BIT_ULL(MAMV) },
	{ BIT_ULL(MAMV), 2 * BIT_ULL(MAMV) - 1 },
	{ BIT_ULL(MAMV) - 1, BIT_ULL(MAMV) },
	{ 0, 4 * BIT_ULL(MAMV) - 1 },
	{ 0, 4 * BIT_ULL(MAMV) },
	{ 0, BIT_ULL(MAMV + 8) },
	{ BIT_ULL(35) - 1, BIT_ULL(35) },	/* 47 bit addresses and beyond */
	{ BIT_ULL(44) - 3, BIT_ULL(44) + 3 },
	{ TOP_PFN - BIT_ULL(35) + 1, TOP_PFN },	/* the canonical upper half */
	{ TOP_PFN, TOP_PFN },
	{ TOP_PFN - 1, TOP_PFN },
	{ TOP_PFN - 2, TOP_PFN },
	{ TOP_PFN - 30, TOP_PFN },
	{ BIT_ULL(51), TOP_PFN },
	{ BIT_ULL(51) - 1, BIT_ULL(51) },
	{ BIT_ULL(51) - 9, BIT_ULL(51) + 9 },
	{ 0, TOP_PFN - 1 },
	{ 1, TOP_PFN },
};

static void check_ranges(struct kunit *test, u8 cache,
			 const struct intel_uapi_target *target)
{
	struct qi_desc descs[INTEL_UAPI_MAX_DESCS];
	struct iommu_cache_invalidate_info inv;
	unsigned int i, n;
	u64 excess;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		inv = range_request(cache, ranges[i].first, ranges[i].last);
		n = intel_uapi_make_descs(descs, target, &inv);
		KUNIT_EXPECT_GE(test, n, 1);
		KUNIT_EXPECT_LE(test, n, INTEL_UAPI_MAX_BLOCKS);
		KUNIT_EXPECT_TRUE_MSG(test,
				      covers(test, descs, n, target,
					     ranges[i].first, ranges[i].last,
					     &excess),
				      "%llx to %llx", ranges[i].first,
				      ranges[i].last);
		/* Several descriptors only if that is exact */
		if (n > 1)
			KUNIT_EXPECT_EQ(test, excess, 0);
	}
}

static void test_ranges(struct kunit *test)
{
	struct intel_uapi_target target = without_pasid();

	check_ranges(test, IOMMU_CACHE_INV_TYPE_IOTLB, &with_pasid);
	check_ranges(test, IOMMU_CACHE_INV_TYPE_IOTLB, &target);
	check_ranges(test, IOMMU_CACHE_INV_TYPE_DEV_IOTLB, &with_pasid);
	check_ranges(test, IOMMU_CACHE_INV_TYPE_DEV_IOTLB, &target);

	/* The mask that the field has room for, and none at all */
	target.cap |= GENMASK_ULL(53, 48);
	check_ranges(test, IOMMU_CACHE_INV_TYPE_IOTLB, &target);
	target.cap &= ~GENMASK_ULL(53, 48);
	check_ranges(test, IOMMU_CACHE_INV_TYPE_IOTLB, &target);
}

/* Ranges that must be exact, and one that must not be less */
static void test_range_encoding(struct kunit *test)
{
	struct qi_desc descs[INTEL_UAPI_MAX_DESCS];
	struct iommu_cache_invalidate_info inv;
	struct intel_uapi_target target = with_pasid;

	/* 1, 2-3, 4-5: three blocks */
	inv = range_request(IOMMU_CACHE_INV_TYPE_IOTLB, 1, 5);
	KUNIT_ASSERT_EQ(test, intel_uapi_make_descs(descs, &target, &inv), 3);
	KUNIT_EXPECT_EQ(test, descs[0].qw1, 0x1000);
	KUNIT_EXPECT_EQ(test, descs[1].qw1, 0x2000 | 1);
	KUNIT_EXPECT_EQ(test, descs[2].qw1, 0x4000 | 1);

	/* 512 pages that take many blocks, or one that is much larger */
	inv = range_request(IOMMU_CACHE_INV_TYPE_IOTLB, 0x3ff, 0x5fe);
	KUNIT_ASSERT_EQ(test, intel_uapi_make_descs(descs, &target, &inv), 1);
	expect_all_iotlb(test, descs);
	target.cap |= GENMASK_ULL(53, 48);
	KUNIT_ASSERT_EQ(test, intel_uapi_make_descs(descs, &target, &inv), 1);
	KUNIT_EXPECT_EQ(test, descs[0].qw1, 11);
	inv.cache = IOMMU_CACHE_INV_TYPE_DEV_IOTLB;
	KUNIT_ASSERT_EQ(test, intel_uapi_make_descs(descs, &target, &inv), 1);
	KUNIT_EXPECT_EQ(test, descs[0].qw1, 0x3ff000ULL | BIT_ULL(11));

	/* Large granules are pages. */
	inv = request(IOMMU_CACHE_INV_TYPE_DEV_IOTLB, IOMMU_INV_GRANU_ADDR);
	inv.granu.addr_info.addr = SZ_1G;
	inv.granu.addr_info.granule_size = SZ_2M;
	inv.granu.addr_info.nb_granules = 1;
	KUNIT_ASSERT_EQ(test, intel_uapi_make_descs(descs, &target, &inv), 1);
	KUNIT_EXPECT_EQ(test, descs[0].qw1, SZ_1G | 0xff000ULL | BIT_ULL(11));
	target = without_pasid();
	KUNIT_ASSERT_EQ(test, intel_uapi_make_descs(descs, &target, &inv), 1);
	KUNIT_EXPECT_EQ(test, descs[0].qw1, SZ_1G | 0xff000ULL | BIT_ULL(0));

	/* Hardware that knows no pages */
	target.cap &= ~BIT_ULL(39);
	inv = range_request(IOMMU_CACHE_INV_TYPE_IOTLB, 1, 1);
	KUNIT_ASSERT_EQ(test, intel_uapi_make_descs(descs, &target, &inv), 1);
	expect_all_iotlb(test, descs);
}

static void test_dev_tlb(struct kunit *test)
{
	struct qi_desc descs[INTEL_UAPI_MAX_DESCS];
	struct iommu_cache_invalidate_info inv;
	struct intel_uapi_target target = with_pasid;

	/* None */
	target.ats = false;
	inv = request(IOMMU_CACHE_INV_TYPE_DEV_IOTLB, IOMMU_INV_GRANU_PASID);
	KUNIT_EXPECT_EQ(test, intel_uapi_make_descs(descs, &target, &inv), 0);
	inv.cache = ALL_CACHES;
	KUNIT_EXPECT_EQ(test, intel_uapi_make_descs(descs, &target, &inv), 3);
	expect_iotlb(test, &descs[2], &target);

	/* One that wants to be told twice, and the most that there can be */
	target.ats = true;
	target.twice = true;
	inv = range_request(ALL_CACHES, 1, 6);
	KUNIT_ASSERT_EQ(test, intel_uapi_make_descs(descs, &target, &inv),
			INTEL_UAPI_MAX_DESCS);
	KUNIT_EXPECT_EQ(test, INTEL_UAPI_MAX_DESCS, 1 + 1 + 4 + 1 + 8);
	expect_fence(test, &descs[1]);
	expect_fence(test, &descs[6]);
	KUNIT_EXPECT_MEMEQ(test, &descs[7], &descs[11], 4 * sizeof(*descs));
	expect_dev_tlb(test, &descs[14], &target);

	/* A depth that the field has no room for is that of one without end. */
	target.qdep = 32;
	target.pasid = IOMMU_NO_PASID;
	inv = request(IOMMU_CACHE_INV_TYPE_DEV_IOTLB, IOMMU_INV_GRANU_PASID);
	intel_uapi_make_descs(descs, &target, &inv);
	KUNIT_EXPECT_EQ(test, bits(descs[0].qw0, 20, 16), 0);
	KUNIT_EXPECT_EQ(test, bits(descs[0].qw0, 31, 21), 0);
}

static u32 expected_reason(unsigned int fr)
{
	switch (fr) {
	case 0x46: case 0x51: case 0x59:
		return IOMMU_FAULT_REASON_PASID_INVALID;
	case 0x70: case 0x73: case 0x75: case 0x76: case 0x77:
		return IOMMU_FAULT_REASON_WALK_EABT;
	case 0x71: case 0x72:
		return IOMMU_FAULT_REASON_PTE_FETCH;
	case 0x5c: case 0x5d: case 0x81: case 0x82: case 0x85: case 0x86:
		return IOMMU_FAULT_REASON_PERMISSION;
	case 0x90:
		return IOMMU_FAULT_REASON_ACCESS;
	case 0x74: case 0x80: case 0x87:
		return IOMMU_FAULT_REASON_OOR_ADDRESS;
	default:
		return IOMMU_FAULT_REASON_UNKNOWN;
	}
}

static void test_fault_reasons(struct kunit *test)
{
	struct iommu_fault_unrecoverable event;
	unsigned int fr;
	bool ours;

	for (fr = 0; fr < 256; fr++) {
		ours = intel_uapi_decode_fault(0x1234567890fffULL,
					       (u64)fr << 32 | SID, &event);
		KUNIT_EXPECT_EQ_MSG(test, ours, expected_reason(fr) != 0,
				    "reason %x", fr);
		if (!ours)
			continue;
		KUNIT_EXPECT_EQ_MSG(test, event.reason, expected_reason(fr),
				    "reason %x", fr);
		KUNIT_EXPECT_EQ(test, event.addr, 0x1234567890000ULL);
		KUNIT_EXPECT_EQ(test, event.flags,
				IOMMU_FAULT_UNRECOV_ADDR_VALID);
		KUNIT_EXPECT_EQ(test, event.pasid, 0U);
		KUNIT_EXPECT_EQ(test, event.fetch_addr, 0);
	}
}

static void test_fault_access(struct kunit *test)
{
	const u64 hi = 0x71ULL << 32 | SID, read = BIT_ULL(62);
	const u64 t2 = BIT_ULL(28), priv = BIT_ULL(29), exe = BIT_ULL(30);
	const u64 pasid = BIT_ULL(31) | (u64)PASID << 40;
	const struct {
		u64 bits;
		u32 perm;
	} cases[] = {
		{ 0, IOMMU_FAULT_PERM_WRITE },
		{ read, IOMMU_FAULT_PERM_READ },
		{ read | t2, IOMMU_FAULT_PERM_READ | IOMMU_FAULT_PERM_WRITE },
		{ pasid | read, IOMMU_FAULT_PERM_READ },
		{ pasid | read | exe, IOMMU_FAULT_PERM_READ |
				      IOMMU_FAULT_PERM_EXEC },
		{ pasid | priv, IOMMU_FAULT_PERM_WRITE | IOMMU_FAULT_PERM_PRIV },
		/* Without PASID these two do not mean anything. */
		{ read | exe | priv, IOMMU_FAULT_PERM_READ },
	};
	struct iommu_fault_unrecoverable event;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		KUNIT_EXPECT_TRUE(test, intel_uapi_decode_fault(U64_MAX,
								hi | cases[i].bits,
								&event));
		KUNIT_EXPECT_EQ_MSG(test, event.perm, cases[i].perm, "case %u", i);
		KUNIT_EXPECT_EQ(test, event.addr, U64_MAX & ~0xfffULL);
		if (cases[i].bits & BIT_ULL(31)) {
			KUNIT_EXPECT_EQ(test, event.pasid, PASID);
			KUNIT_EXPECT_TRUE(test, event.flags &
					  IOMMU_FAULT_UNRECOV_PASID_VALID);
		} else {
			KUNIT_EXPECT_EQ(test, event.pasid, 0U);
			KUNIT_EXPECT_FALSE(test, event.flags &
					   IOMMU_FAULT_UNRECOV_PASID_VALID);
		}
	}
}

/* Units are asked one by one: one that lacks something does not, beside one that nests */
static void test_unit_nests(struct kunit *test)
{
	/* Scalable mode, first and second stage, nesting */
	static const unsigned int needed[] = { 43, 47, 46, 26 };
	static struct q_inval qi;
	struct intel_iommu *units;
	unsigned int i, j;
	int sm = intel_iommu_sm;

	units = kunit_kcalloc(test, ARRAY_SIZE(needed) + 2, sizeof(*units),
			      GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, units);
	for (i = 0; i < ARRAY_SIZE(needed) + 2; i++) {
		units[i].qi = &qi;
		for (j = 0; j < ARRAY_SIZE(needed); j++)
			if (i != j)
				units[i].ecap |= BIT_ULL(needed[j]);
	}
	units[ARRAY_SIZE(needed)].qi = NULL;

	intel_iommu_sm = 1;
	for (i = 0; i <= ARRAY_SIZE(needed); i++)
		KUNIT_EXPECT_FALSE_MSG(test, intel_uapi_unit_nests(&units[i]),
				       "unit %u", i);
	KUNIT_EXPECT_TRUE(test, intel_uapi_unit_nests(&units[i]));
	intel_iommu_sm = sm;
}

static struct kunit_case intel_uapi_test_cases[] = {
	KUNIT_CASE(test_unit_nests),
	KUNIT_CASE(test_caps),
	KUNIT_CASE(test_merge),
	KUNIT_CASE(test_check_bind),
	KUNIT_CASE(test_check_flags),
	KUNIT_CASE(test_pasid_entry),
	KUNIT_CASE(test_caches_in_order),
	KUNIT_CASE(test_granularities),
	KUNIT_CASE(test_ranges),
	KUNIT_CASE(test_range_encoding),
	KUNIT_CASE(test_dev_tlb),
	KUNIT_CASE(test_fault_reasons),
	KUNIT_CASE(test_fault_access),
	{},
};

static struct kunit_suite intel_uapi_test_suite = {
	.name = "intel-iommu-uapi",
	.test_cases = intel_uapi_test_cases,
};

kunit_test_suites(&intel_uapi_test_suite);
