// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API on VT-d: page tables of the guest, invalidation (also by devices
 * that give no answer), stage 2, two devices; and what does not use the API, on
 * the same hardware. See the head of iommu_uapi_vtd.h.
 *
 * Not for 32-bit processes: iommufd, which does not serve them, and edu, whose
 * registers of 64 bits take one access only.
 */
#define _GNU_SOURCE
#include "iommu_uapi_vtd.h"
#include "iommu_uapi_edu.h"

static __attribute__((constructor)) void find_edu(void)
{
	edu_find();
}

/* ---------------------------------------------------------------------
 * One device, with each kind of request
 */
FIXTURE(vtd)
{
	struct guest g;
	/* The requests under test, and what else the container has */
	struct requester req;
	__u32 pasid;
	__u32 other_pasid;
};

FIXTURE_VARIANT(vtd)
{
	bool no_pasid;
	__u32 flags;
};

FIXTURE_VARIANT_ADD(vtd, pasid)
{
};

FIXTURE_VARIANT_ADD(vtd, pasid_ats)
{
	.flags = TESTDEV_ATS,
};

FIXTURE_VARIANT_ADD(vtd, no_pasid)
{
	.no_pasid = true,
};

FIXTURE_VARIANT_ADD(vtd, no_pasid_ats)
{
	.no_pasid = true,
	.flags = TESTDEV_ATS,
};

FIXTURE_SETUP(vtd)
{
	if (!nr_dev)
		SKIP(return, "no test device behind an IOMMU");
	ASSERT_EQ(0, guest_open(&self->g, 0));
	self->pasid = NO_PASID;
	if (!variant->no_pasid)
		ASSERT_DONE(guest_pasid(&self->g, &self->pasid));
	ASSERT_DONE(guest_pasid(&self->g, &self->other_pasid));
	self->req = requester(&self->g, 0, self->pasid, variant->flags);
}

FIXTURE_TEARDOWN(vtd)
{
	guest_close(&self->g);
}

#define bind_pt()	test_cmd_bind(DEVICE, &self->g.pt, self->pasid)

/* VA -> guest-physical -> host, both directions, and no other way */
TEST_F(vtd, translate)
{
	struct requester req = self->req;
	__u64 *page = self->g.page;

	/* By stage 2 alone, also from the device's cache */
	test_reaches(with_pasid(req, NO_PASID), page[1], page[1]);
	test_stopped(req, VA, page[0]);
	bind_pt();
	test_reaches(req, VA, page[0]);
	test_reaches(req, VA + SZ_4K - 8, page[0] + SZ_4K - 8);
	/* Guest-physical addresses are none of the guest's virtual ones */
	test_stopped(req, page[1], page[1]);
	test_stopped(req, VA2, page[1]);
	/* Nor does the table serve other requests */
	test_stopped(with_pasid(req, self->other_pasid), VA, page[0]);
	test_stopped(with_pasid(req, self->other_pasid + 1), VA, page[0]);
	if (self->pasid != NO_PASID) {
		test_stopped(with_pasid(req, NO_PASID), VA, page[0]);
		test_reaches_raw(0, page[1]);
	}

	test_cmd_unbind(DEVICE, self->pasid);
	test_stopped(req, VA, page[0]);
	test_reaches_raw(0, page[1]);
	test_err_unbind(ENOENT, DEVICE, self->pasid);

	/* Again, by the container this time */
	test_cmd_bind(CONTAINER, &self->g.pt, self->pasid);
	test_reaches(req, VA, page[0]);
	test_cmd_unbind(CONTAINER, self->pasid);
	test_stopped(req, VA, page[0]);
}

TEST_F(vtd, high_addresses)
{
	guest_map(&self->g.pt, VA_HIGH, self->g.page[1]);
	bind_pt();
	test_reaches(self->req, VA_HIGH, self->g.page[1]);
	/* The same in the table's index, but not canonical */
	test_stopped(self->req, VA_HIGH & 0x0000ffffffffffffULL,
		     self->g.page[1]);
	test_stopped(self->req, VA | 1ULL << 62, self->g.page[0]);
}

/* A transfer over the end of a page goes on in the next one. */
TEST_F(vtd, across_pages)
{
	__u64 value = fresh_value();

	guest_map(&self->g.pt, VA + SZ_4K, self->g.page[1]);
	bind_pt();
	*(volatile __u64 *)self->req.dev->buf = value;
	EXPECT_EQ(TESTDEV_DONE,
		  testdev_dma(self->req.dev, self->req.flags | TESTDEV_TO_BUS,
			      self->pasid, VA + SZ_4K - 4, 0, 8));
	EXPECT_EQ(value << 32, guest_read(&self->g.vmm,
					  self->g.page[0] + SZ_4K - 8));
	EXPECT_EQ(value >> 32, guest_read(&self->g.vmm, self->g.page[1]));
}

TEST_F(vtd, permission)
{
	struct requester req = self->req;
	__u64 *page = self->g.page;

	bind_pt();
	guest_map_level(&self->g.pt, VA2, page[1], VTD_RO, 1);
	test_reads(req, VA2, page[1]);
	test_writes_not(req, VA2, page[1]);
	test_reads(req, VA2, page[1]);

	/* Supervisor pages are not the device's */
	guest_map_level(&self->g.pt, VA2 + SZ_4K, page[1], VTD_RW & ~VTD_U, 1);
	test_stopped(req, VA2 + SZ_4K, page[1]);
	guest_map_level(&self->g.pt, VA2 + 2 * SZ_4K, page[1], VTD_RW & ~VTD_P,
			1);
	test_stopped(req, VA2 + 2 * SZ_4K, page[1]);
	/* What a table does not allow, no entry below it does */
	guest_map(&self->g.pt, VA_UNMAPPED, page[1]);
	guest_write(&self->g.vmm, guest_pt_entry(&self->g.pt, VA_UNMAPPED, 2),
		    (guest_read(&self->g.vmm,
				guest_pt_entry(&self->g.pt, VA_UNMAPPED, 2)) &
		     PT_ADDR) | VTD_RO);
	test_reads(req, VA_UNMAPPED, page[1]);
	test_writes_not(req, VA_UNMAPPED, page[1]);
	test_reaches(req, VA, page[0]);
}

/*
 * Erratum 772415: hardware might write to what stage 2 has mapped for reading, when
 * it marks entries of stage 1. The kernel does not let it come to that.
 */
TEST_F(vtd, no_read_only_memory)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ,
		.vaddr = (uintptr_t)guest_ptr(&self->g.vmm, self->g.page[1]),
		.iova = GPA_HOLE,
		.size = SZ_4K,
	};
	__u64 value;

	EXPECT_ERRNO(EINVAL, ioctl(self->g.vmm.container, VFIO_IOMMU_MAP_DMA,
				   &map));
	guest_map(&self->g.pt, VA2, GPA_HOLE);
	bind_pt();
	EXPECT_TRUE(is_stopped(device_read(self->req, VA2, &value)));
	test_writes_not(self->req, VA2, self->g.page[1]);
}

static __u64 entry_bits(struct guest *g, __u64 va, int level)
{
	return guest_read(&g->vmm, guest_pt_entry(&g->pt, va, level)) &
	       (VTD_A | VTD_D);
}

/* The hardware marks the guest's entries, of all levels, in guest memory. */
TEST_F(vtd, accessed_and_dirty)
{
	__u64 value;
	int level;

	guest_map(&self->g.pt, VA2, self->g.page[1]);
	bind_pt();
	for (level = 1; level <= 4; level++)
		EXPECT_EQ(0, entry_bits(&self->g, VA2, level));
	EXPECT_EQ(TESTDEV_DONE, device_read(self->req, VA2, &value));
	for (level = 1; level <= 4; level++)
		EXPECT_EQ(VTD_A, entry_bits(&self->g, VA2, level));
	/* Also if the translation is in a cache by now */
	test_writes(self->req, VA2, self->g.page[1]);
	EXPECT_EQ(VTD_A | VTD_D, entry_bits(&self->g, VA2, 1));
	EXPECT_EQ(VTD_A, entry_bits(&self->g, VA2, 2));

	test_writes(self->req, VA, self->g.page[0]);
	EXPECT_EQ(VTD_A | VTD_D, entry_bits(&self->g, VA, 1));

	/* What was not allowed has left no mark */
	guest_map_level(&self->g.pt, VA_UNMAPPED, self->g.page[1], VTD_RO, 1);
	test_writes_not(self->req, VA_UNMAPPED, self->g.page[1]);
	EXPECT_EQ(0, entry_bits(&self->g, VA_UNMAPPED, 1) & VTD_D);
}

/* The same PASID, another table: nothing of the first binding is left */
TEST_F(vtd, rebind)
{
	struct guest_pt other;
	int i;

	guest_pt_init(&other, &self->g.vmm, GUEST_PT_VTD, 4);
	guest_map(&other, VA, self->g.page[1]);
	for (i = 0; i < 2; i++) {
		bind_pt();
		test_reaches(self->req, VA, self->g.page[0]);
		test_cmd_unbind(DEVICE, self->pasid);
		test_stopped(self->req, VA, self->g.page[0]);
		test_cmd_bind(DEVICE, &other, self->pasid);
		test_reaches(self->req, VA, self->g.page[1]);
		test_cmd_unbind(DEVICE, self->pasid);
	}
}

/* Leaves of each size; stage 2 has smaller pages below the large ones. */
TEST_F(vtd, large_pages)
{
	const __u64 va = 0x3f80000000ULL, far = GUEST_BIG_PAGE_SIZE - 8;
	struct iommu_nesting_info info;
	int level, i;
	__u64 value;

	ASSERT_EQ(0, guest_info(&self->g, 0, &info));
	EXPECT_NE(0, info.vendor.vtd.cap & CAP_FL1GP);
	bind_pt();
	for (level = 2; level <= 3; level++) {
		__u64 size = level == 2 ? SZ_2M : SZ_1G;
		__u64 at = va + level * SZ_1G * 4;

		guest_map_level(&self->g.pt, at, GUEST_BIG_PAGE, VTD_RW, level);
		for (i = 0; i < 2; i++) {
			test_reaches(self->req, at, GUEST_BIG_PAGE);
			test_reaches(self->req, at + far, GUEST_BIG_PAGE + far);
			/* Guest memory ends before the leaf does */
			EXPECT_TRUE(is_stopped(device_read(self->req,
							   at + size - SZ_4K,
							   &value)));
			EXPECT_EQ(VTD_A | VTD_D,
				  entry_bits(&self->g, at, level));

			/* Gone, and seen to be gone once it is invalidated, */
			guest_write(&self->g.vmm,
				    guest_pt_entry(&self->g.pt, at, level), 0);
			test_reads(self->req, at, GUEST_BIG_PAGE);
			/* in its own granule, or in pages of 4 KiB */
			test_cmd_inv(DEVICE,
				     inv_addr(caches_of(self->req), self->pasid,
					      at, i ? SZ_4K : size,
					      i ? size / SZ_4K : 1));
			test_stopped(self->req, at, GUEST_BIG_PAGE);
			test_stopped(self->req, at + far, GUEST_BIG_PAGE + far);
			guest_map_level(&self->g.pt, at, GUEST_BIG_PAGE, VTD_RW,
					level);
		}
		/* One page of it */
		test_reads(self->req, at, GUEST_BIG_PAGE);
		guest_write(&self->g.vmm,
			    guest_pt_entry(&self->g.pt, at, level), 0);
		test_cmd_inv(DEVICE, inv_addr(caches_of(self->req), self->pasid,
					      at, SZ_4K, 1));
		test_stopped(self->req, at, GUEST_BIG_PAGE);
	}
	test_reaches(self->req, VA, self->g.page[0]);
}

/* Five levels where the hardware has them, and a clear answer where it does not */
TEST_F(vtd, five_levels)
{
	const __u64 va = 0x0012345678901000ULL;
	struct iommu_nesting_info info;
	struct guest_pt pt;

	ASSERT_EQ(0, guest_info(&self->g, 0, &info));
	guest_pt_init(&pt, &self->g.vmm, GUEST_PT_VTD, 5);
	guest_map(&pt, va, self->g.page[0]);
	guest_map(&pt, VA, self->g.page[1]);
	if (info.addr_width < 57) {
		EXPECT_EQ(48, info.addr_width);
		EXPECT_EQ(0, info.vendor.vtd.cap & CAP_FL5LP);
		test_err_bind(EINVAL, DEVICE, &pt, self->pasid);
		return;
	}
	EXPECT_NE(0, info.vendor.vtd.cap & CAP_FL5LP);
	test_cmd_bind(DEVICE, &pt, self->pasid);
	test_reaches(self->req, va, self->g.page[0]);
	test_reaches(self->req, VA, self->g.page[1]);
	test_stopped(self->req, va | 1ULL << 56, self->g.page[0]);
	test_stopped(self->req, va & 0x0000ffffffffffffULL, self->g.page[0]);
	test_stopped(self->req, va | 1ULL << 60, self->g.page[0]);
	guest_unmap(&pt, va);
	test_reads(self->req, va, self->g.page[0]);
	test_cmd_inv(DEVICE, inv_addr(caches_of(self->req), self->pasid, va,
				      SZ_4K, 1));
	test_stopped(self->req, va, self->g.page[0]);
	test_reaches(self->req, VA, self->g.page[1]);
}

/* ---------------------------------------------------------------------
 * Invalidation
 */
struct inv_case {
	const char *name;
	__u8 granularity;
	/* Of the other PASID; of all bindings */
	bool other, all;
	__u64 addr, granule, nr;
	bool leaf;
	/* Is it to have an effect on the page at VA? */
	bool enough;
};

#define INV_VA(_name, _addr, _granule, _nr, ...)			\
	{								\
		.name = _name, .granularity = IOMMU_INV_GRANU_ADDR,	\
		.addr = _addr, .granule = _granule, .nr = _nr,		\
		##__VA_ARGS__						\
	}

static const struct inv_case inv_cases[] = {
	{ .name = "domain", .granularity = IOMMU_INV_GRANU_DOMAIN, .enough = true },
	{ .name = "PASID", .granularity = IOMMU_INV_GRANU_PASID, .enough = true },
	INV_VA("page", VA, SZ_4K, 1, .enough = true),
	INV_VA("leaf", VA, SZ_4K, 1, .enough = true, .leaf = true),
	INV_VA("page of all", VA, SZ_4K, 1, .enough = true, .all = true),
	INV_VA("odd range", VA - 3 * SZ_4K, SZ_4K, 7, .enough = true),
	INV_VA("first of range", VA, SZ_4K, 5, .enough = true),
	INV_VA("last of range", VA - 4 * SZ_4K, SZ_4K, 5, .enough = true),
	INV_VA("last of long range", VA - SZ_1G - 5 * SZ_4K, SZ_4K,
	       SZ_1G / SZ_4K + 6, .enough = true),
	INV_VA("2M", VA, SZ_2M, 1, .enough = true),
	INV_VA("odd 2M", VA - SZ_2M, SZ_2M, 3, .enough = true),
	INV_VA("1G", VA, SZ_1G, 1, .enough = true),
	INV_VA("3 x 1G", VA - 2 * SZ_1G, SZ_1G, 3, .enough = true),
	INV_VA("8K granules", VA - 2 * SZ_4K, 2 * SZ_4K, 2, .enough = true),
	INV_VA("all pages", 0, SZ_4K, 1ULL << 51, .enough = true),
	INV_VA("half of all", 0, 1ULL << 63, 1, .enough = true),
	INV_VA("nearly all", SZ_4K, SZ_4K, (1ULL << 52) - 1, .enough = true),
	/* The page under test has an aligned address: these end, or begin, there */
	INV_VA("before", VA - 4 * SZ_4K, SZ_4K, 4),
	INV_VA("after", VA + SZ_4K, SZ_4K, 1),
	INV_VA("2M after", VA + SZ_2M, SZ_2M, 1),
	INV_VA("last page of all", ~0ULL << 12, SZ_4K, 1),
	INV_VA("other page", VA, SZ_4K, 1, .other = true),
	{ .name = "other PASID", .granularity = IOMMU_INV_GRANU_PASID, .other = true },
};

static struct iommu_cache_invalidate_info
inv_of_case(const struct inv_case *c, __u8 cache, __u32 pasid, __u32 other)
{
	struct iommu_cache_invalidate_info inv;

	if (c->other)
		pasid = other;
	switch (c->granularity) {
	case IOMMU_INV_GRANU_DOMAIN:
		return inv_domain(cache);
	case IOMMU_INV_GRANU_PASID:
		return inv_pasid(cache, pasid);
	}
	inv = inv_addr(cache, pasid, c->addr, c->granule, c->nr);
	if (c->all) {
		inv.granu.addr_info.flags = 0;
		inv.granu.addr_info.pasid = 0;
	}
	if (c->leaf)
		inv.granu.addr_info.flags |= IOMMU_INV_ADDR_FLAGS_LEAF;
	return inv;
}

TEST_F(vtd, stale)
{
	__u32 pasid = self->pasid, other = self->other_pasid;
	struct requester req = self->req;
	int from = 0;
	size_t i;

	bind_pt();
	test_cmd_bind(DEVICE, &self->g.pt, other);
	for (i = 0; i < ARRAY_SIZE(inv_cases); i++) {
		const struct inv_case *c = &inv_cases[i];
		__u8 cache = caches_of(req);

		test_writes(req, VA, self->g.page[from]);
		guest_map(&self->g.pt, VA, self->g.page[!from]);
		/* Nobody has told the hardware */
		test_writes(req, VA, self->g.page[from]);

		/* All of a device's PASIDs have no name in the device */
		if (c->granularity == IOMMU_INV_GRANU_DOMAIN) {
			cache &= ~DEV_IOTLB;
			if (req.flags & TESTDEV_ATS)
				test_cmd_inv(DEVICE, inv_pasid(DEV_IOTLB, pasid));
		}
		test_cmd_inv(DEVICE, inv_of_case(c, cache, pasid, other));
		if (c->enough)
			test_reaches(req, VA, self->g.page[!from]);
		else
			test_writes(req, VA, self->g.page[from]);

		test_cmd_inv(CONTAINER, inv_pasid(caches_of(req), pasid));
		test_writes(req, VA, self->g.page[!from]);
		from = !from;
		ASSERT_EQ(0, _metadata->exit_code) {
			TH_LOG("invalidation: %s", c->name);
		}
	}
}

/* Each cache on its own: the device asks the IOMMU, and the IOMMU the table. */
TEST_F(vtd, caches)
{
	struct requester req = self->req, ats = with_flags(req, TESTDEV_ATS);

	bind_pt();
	test_writes(ats, VA, self->g.page[0]);
	guest_map(&self->g.pt, VA, self->g.page[1]);
	test_cmd_inv(DEVICE, inv_pasid(IOTLB, self->pasid));
	test_writes(with_flags(req, 0), VA, self->g.page[1]);
	test_writes(ats, VA, self->g.page[0]);
	test_cmd_inv(DEVICE, inv_pasid(DEV_IOTLB, self->pasid));
	test_writes(ats, VA, self->g.page[1]);

	guest_map(&self->g.pt, VA, self->g.page[0]);
	test_cmd_inv(DEVICE, inv_addr(DEV_IOTLB, self->pasid, VA, SZ_4K, 1));
	test_writes(ats, VA, self->g.page[1]);
	test_cmd_inv(DEVICE, inv_addr(IOTLB, self->pasid, VA, SZ_4K, 1));
	test_writes(with_flags(req, 0), VA, self->g.page[0]);
	test_writes(ats, VA, self->g.page[1]);
	test_cmd_inv(DEVICE, inv_addr(DEV_IOTLB, self->pasid, VA, SZ_4K, 1));
	test_writes(ats, VA, self->g.page[0]);

	/* All of them, the PASID cache included */
	guest_map(&self->g.pt, VA, self->g.page[1]);
	test_cmd_inv(DEVICE, inv_pasid(IOTLB | DEV_IOTLB | PASID_CACHE,
				       self->pasid));
	test_writes(ats, VA, self->g.page[1]);
}

/* What an invalidation is not about stays cached, entry by entry. */
TEST_F(vtd, neighbours)
{
	struct requester req = self->req;
	struct requester other = with_pasid(req, self->other_pasid);
	__u8 caches = caches_of(req);
	__u64 *page = self->g.page;
	__u32 used, i;

	for (i = 0; i < 4; i++)
		guest_map(&self->g.pt, VA + i * SZ_4K, page[0]);
	bind_pt();
	test_cmd_bind(DEVICE, &self->g.pt, self->other_pasid);
	used = testdev_read(req.dev, TESTDEV_ATC_USED);
	for (i = 0; i < 4; i++) {
		test_writes(req, VA + i * SZ_4K, page[0]);
		test_writes(other, VA + i * SZ_4K, page[0]);
		guest_map(&self->g.pt, VA + i * SZ_4K, page[1]);
	}
	if (req.flags & TESTDEV_ATS) {
		EXPECT_EQ(used + 8, testdev_read(req.dev, TESTDEV_ATC_USED));
		test_cmd_inv(DEVICE, inv_addr(DEV_IOTLB, self->pasid,
					      VA + SZ_4K, SZ_4K, 1));
		EXPECT_EQ(used + 7, testdev_read(req.dev, TESTDEV_ATC_USED));
	}
	test_cmd_inv(DEVICE, inv_addr(caches, self->pasid, VA + SZ_4K, SZ_4K,
				      1));
	for (i = 0; i < 4; i++) {
		test_writes(req, VA + i * SZ_4K, page[i == 1]);
		test_writes(other, VA + i * SZ_4K, page[0]);
	}
	test_cmd_inv(DEVICE, inv_pasid(caches, self->pasid));
	for (i = 0; i < 4; i++) {
		test_writes(req, VA + i * SZ_4K, page[1]);
		test_writes(other, VA + i * SZ_4K, page[0]);
	}
	test_cmd_inv(DEVICE, inv_addr(caches, self->other_pasid, VA, SZ_4K, 4));
	for (i = 0; i < 4; i++)
		test_writes(other, VA + i * SZ_4K, page[1]);
}

/* A table on the way is replaced */
TEST_F(vtd, non_leaf)
{
	__u64 entry = guest_pt_entry(&self->g.pt, VA, 2);
	__u64 table = guest_page(&self->g.vmm);

	guest_write(&self->g.vmm, table, self->g.page[1] | VTD_RW);
	bind_pt();
	test_writes(self->req, VA, self->g.page[0]);
	guest_write(&self->g.vmm, entry, table | VTD_RW);
	test_writes(self->req, VA, self->g.page[0]);
	test_cmd_inv(DEVICE, inv_addr(caches_of(self->req), self->pasid, VA,
				      SZ_4K, 1));
	test_reaches(self->req, VA, self->g.page[1]);
}

/* What is taken away by degrees */
TEST_F(vtd, less_permission)
{
	struct iommu_cache_invalidate_info inv =
		inv_addr(caches_of(self->req), self->pasid, VA, SZ_4K, 1);

	bind_pt();
	test_reaches(self->req, VA, self->g.page[0]);
	guest_map_level(&self->g.pt, VA, self->g.page[0], VTD_RO, 1);
	test_cmd_inv(DEVICE, inv);
	test_writes_not(self->req, VA, self->g.page[0]);
	test_reads(self->req, VA, self->g.page[0]);
	guest_unmap(&self->g.pt, VA);
	test_cmd_inv(DEVICE, inv);
	test_stopped(self->req, VA, self->g.page[0]);
}

/* By the guest's number for the PASID */
TEST_F(vtd, guest_number)
{
	struct iommu_cache_invalidate_info inv;
	__u32 gpasid = self->pasid + 1000;

	if (self->pasid == NO_PASID) {
		test_err_bind_gpasid(EINVAL, DEVICE, &self->g.pt, NO_PASID, 7);
		return;
	}
	test_cmd_bind_gpasid(DEVICE, &self->g.pt, self->pasid, gpasid);
	test_reaches(self->req, VA, self->g.page[0]);
	test_stopped(with_pasid(self->req, gpasid), VA, self->g.page[0]);
	guest_map(&self->g.pt, VA, self->g.page[1]);
	test_err_inv(ENOENT, DEVICE, inv_pasid(IOTLB, gpasid));
	inv = inv_pasid(caches_of(self->req), gpasid);
	inv.granu.pasid_info.flags |= IOMMU_INV_PASID_FLAGS_GPASID;
	test_cmd_inv(DEVICE, inv);
	test_reaches(self->req, VA, self->g.page[1]);
	inv = inv_addr(caches_of(self->req), gpasid, VA, SZ_4K, 1);
	inv.granu.addr_info.flags |= IOMMU_INV_ADDR_FLAGS_GPASID;
	guest_map(&self->g.pt, VA, self->g.page[0]);
	test_cmd_inv(CONTAINER, inv);
	test_reaches(self->req, VA, self->g.page[0]);
	test_cmd_unbind_gpasid(DEVICE, gpasid);
	test_stopped(self->req, VA, self->g.page[0]);
}

TEST_F(vtd, batch)
{
	__u8 caches = caches_of(self->req);
	struct iommu_cache_invalidate_info inv[] = {
		inv_addr(caches, self->pasid, VA + SZ_4K, SZ_4K, 1),
		inv_addr(caches, self->pasid, VA, SZ_4K, 1),
		inv_addr(caches, self->pasid, VA + 8, SZ_4K, 1),
		inv_pasid(caches, self->pasid),
	};

	bind_pt();
	test_writes(self->req, VA, self->g.page[0]);
	guest_map(&self->g.pt, VA, self->g.page[1]);
	test_cmd_inv_batch(DEVICE, inv, sizeof(*inv), 1);
	test_writes(self->req, VA, self->g.page[0]);
	test_err_inv_batch(EINVAL, 2, DEVICE, inv, sizeof(*inv), 4);
	test_writes(self->req, VA, self->g.page[1]);

	/* Nothing bound there: what is before that is done, the rest is not */
	guest_map(&self->g.pt, VA, self->g.page[0]);
	inv[1] = inv_pasid(IOTLB, self->other_pasid);
	test_err_inv_batch(ENOENT, 1, DEVICE, inv, sizeof(*inv), 4);
	test_writes(self->req, VA, self->g.page[1]);
	inv[1] = inv[3];
	test_cmd_inv_batch(CONTAINER, inv, sizeof(*inv), 2);
	test_writes(self->req, VA, self->g.page[0]);
}

/* ---------------------------------------------------------------------
 * Stage 2
 */
/*
 * The device has cached VA -> PA, the VMM unmaps the page, and the guest does not
 * lift a finger. The page is somebody else's now.
 */
TEST_F(vtd, unmapped_page_is_out_of_reach)
{
	struct requester reqs[] = {
		self->req,
		with_pasid(self->req, self->other_pasid),
	};
	volatile __u64 *page;
	__u64 value, got;
	size_t i;

	page = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	ASSERT_DONE(map_page(&self->g.vmm, (void *)page, GPA_HOLE));
	guest_map(&self->g.pt, VA2, GPA_HOLE);
	bind_pt();
	test_cmd_bind(CONTAINER, &self->g.pt, self->other_pasid);
	for (i = 0; i < ARRAY_SIZE(reqs); i++) {
		value = fresh_value();
		EXPECT_EQ(TESTDEV_DONE, device_write(reqs[i], VA2, value));
		EXPECT_EQ(value, *page);
		EXPECT_EQ(TESTDEV_DONE, device_read(reqs[i], VA2, &got));
		test_writes(reqs[i], VA, self->g.page[0]);
	}

	ASSERT_DONE(unmap_page(&self->g.vmm, GPA_HOLE));
	for (i = 0; i < ARRAY_SIZE(reqs); i++) {
		value = *page;
		EXPECT_TRUE(is_stopped(device_write(reqs[i], VA2,
						    fresh_value())));
		EXPECT_EQ(value, *page);
		EXPECT_TRUE(is_stopped(device_read(reqs[i], VA2, &got)));
		EXPECT_NE(value, got);
		/* What is still mapped is reached as before */
		test_reaches(reqs[i], VA, self->g.page[0]);
	}

	ASSERT_DONE(map_page(&self->g.vmm, (void *)page, GPA_HOLE));
	for (i = 0; i < ARRAY_SIZE(reqs); i++) {
		value = fresh_value();
		EXPECT_EQ(TESTDEV_DONE, device_write(reqs[i], VA2, value));
		EXPECT_EQ(value, *page);
	}
}

/* All of memory at once, the tables of the guest included */
TEST_F(vtd, unmapped_memory_is_out_of_reach)
{
	bind_pt();
	test_reaches(self->req, VA, self->g.page[0]);
	ASSERT_DONE(vmm_unmap_ram(&self->g.vmm));
	test_stopped(self->req, VA, self->g.page[0]);
	ASSERT_DONE(vmm_map_ram(&self->g.vmm));
	test_reaches(self->req, VA, self->g.page[0]);
}

/* ---------------------------------------------------------------------
 * What is the same for all requests of a device
 */
FIXTURE(vtd_bind)
{
	struct guest g;
	__u32 pasid;
};

FIXTURE_SETUP(vtd_bind)
{
	if (!nr_dev)
		SKIP(return, "no test device behind an IOMMU");
	ASSERT_EQ(0, guest_open(&self->g, 0));
	ASSERT_DONE(guest_pasid(&self->g, &self->pasid));
}

FIXTURE_TEARDOWN(vtd_bind)
{
	guest_close(&self->g);
	params_restore();
}

TEST_F(vtd_bind, info)
{
	const __u64 hosts_own = ECAP_NEST | ECAP_SLTS;
	__u32 features = IOMMU_NESTING_FEAT_SYSWIDE_PASID |
			 IOMMU_NESTING_FEAT_BIND_PGTBL |
			 IOMMU_NESTING_FEAT_CACHE_INVLD |
			 IOMMU_NESTING_FEAT_PAGE_REQUEST;
	struct iommu_nesting_info info, cap;
	__u64 ecap;

	ASSERT_DONE(guest_info(&self->g, 0, &info));
	ASSERT_DONE(_test_cmd_get_nesting_cap(self->g.vmm.container, &cap));
	EXPECT_EQ(0, memcmp(&info, &cap, sizeof(info)));

	EXPECT_EQ(IOMMU_PASID_FORMAT_INTEL_VTD, info.format);
	EXPECT_EQ(features, info.features);
	EXPECT_TRUE(info.addr_width == 48 || info.addr_width == 57);
	/* A thousand PASIDs at least */
	EXPECT_LE(10, info.pasid_bits);
	EXPECT_GE(20, info.pasid_bits);
	EXPECT_EQ(IOTLB | DEV_IOTLB | PASID_CACHE, info.caches);
	EXPECT_EQ(7, info.granularities);
	EXPECT_EQ(IOMMU_NESTING_INFO_VTD_VALID, info.vendor.vtd.flags);
	EXPECT_EQ(0, info.vendor.vtd.padding);

	ecap = info.vendor.vtd.ecap;
	EXPECT_EQ(ECAP_DT | ECAP_PRS | ECAP_PASID | ECAP_FLTS,
		  ecap & (ECAP_DT | ECAP_PRS | ECAP_PASID | ECAP_FLTS |
			  hosts_own));
	EXPECT_EQ(info.pasid_bits, ECAP_PSS(ecap) + 1);
	EXPECT_EQ(info.addr_width == 57,
		  !!(info.vendor.vtd.cap & CAP_FL5LP));
	TH_LOG("%u bits, PASIDs of %u bits, cap %llx, ecap %llx",
	       info.addr_width, info.pasid_bits, info.vendor.vtd.cap, ecap);
}

#define test_err_bad(_errno, field, value)				\
	({								\
		struct iommu_gpasid_bind_data _data =			\
			bind_data(&self->g.pt, self->pasid);		\
									\
		_data.field = value;					\
		test_err_bind_data(_errno, DEVICE, &_data);		\
		test_err_bind_data(_errno, CONTAINER, &_data);		\
	})

TEST_F(vtd_bind, errors)
{
	struct requester req = requester(&self->g, 0, self->pasid, 0);
	struct guest other;
	__u32 foreign, bit;
	__u64 need = 0;

	/* Low bits of the address are flags in the PASID entry */
	for (bit = 0; bit < 12; bit++)
		test_err_bad(EINVAL, gpgd, self->g.pt.root | 1ULL << bit);
	test_err_bad(EINVAL, gpgd, self->g.pt.root | 1ULL << 52);
	test_err_bad(EINVAL, gpgd, self->g.pt.root | 1ULL << 63);
	test_err_bad(EINVAL, addr_width, 0);
	test_err_bad(EINVAL, addr_width, 39);
	test_err_bad(EINVAL, addr_width, 47);
	test_err_bad(EINVAL, addr_width, 49);
	test_err_bad(EINVAL, addr_width, 64);
	test_err_bad(EINVAL, format, 0);
	test_err_bad(EINVAL, format, IOMMU_PASID_FORMAT_ARM_SMMUV3);
	test_err_bad(EINVAL, version, 2);
	test_err_bad(EINVAL, hpasid, 0);
	test_err_bad(EINVAL, hpasid, 1 << 20);
	test_err_bad(EINVAL, hpasid, (__u64)self->pasid | 1ULL << 32);
	test_err_bad(ENOENT, hpasid, self->pasid + 1);
	test_err_bad(EINVAL, padding[7], 1);
	test_err_bad(EINVAL, vendor.vtd.pat, 1);
	test_err_bad(EINVAL, vendor.vtd.emt, 1);
	for (bit = 2; bit < 64; bit++)
		test_err_bad(EINVAL, flags, 1ULL << bit);
	for (bit = 0; bit < 64; bit++) {
		need = 1ULL << bit;
		if (need & (IOMMU_SVA_VTD_GPASID_SRE | IOMMU_SVA_VTD_GPASID_EAFE))
			continue;
		/* WPE is one of them: it is about supervisor requests */
		test_err_bad(EINVAL, vendor.vtd.flags, need);
	}

	/* Another container's PASID */
	memset(&other, 0, sizeof(other));
	if (nr_dev > 1) {
		ASSERT_EQ(0, guest_open(&other, 1));
		ASSERT_DONE(guest_pasid(&other, &foreign));
		EXPECT_NE(self->pasid, foreign);
		test_err_bad(ENOENT, hpasid, foreign);
		guest_close(&other);
	}

	/* Nothing of that has done anything */
	test_stopped(req, VA, self->g.page[0]);
	test_reaches_raw(0, self->g.page[1]);

	test_cmd_bind(DEVICE, &self->g.pt, self->pasid);
	test_err_bind(EBUSY, DEVICE, &self->g.pt, self->pasid);
	test_err_bind(EBUSY, CONTAINER, &self->g.pt, self->pasid);
	test_reaches(req, VA, self->g.page[0]);
}

/* This hardware binds page tables, no tables of PASIDs. */
TEST_F(vtd_bind, other_style)
{
	struct iommu_pasid_table_config cfg =
		table_config(IOMMU_PASID_CONFIG_TRANSLATE, self->g.page[0], 0);

	test_err_bind_table(EOPNOTSUPP, DEVICE, cfg);
	test_err_bind_table(EOPNOTSUPP, CONTAINER, cfg);
	test_err_unbind_table(ENOENT, DEVICE);
	test_reaches_raw(0, self->g.page[1]);
}

/* The four cases, with this format's member */
TEST_F(vtd_bind, sizes)
{
	const __u32 need = offsetofend(struct iommu_gpasid_bind_data,
				       vendor.vtd);
	struct requester req = requester(&self->g, 0, self->pasid, 0);
	struct iommu_gpasid_bind_data data = bind_data(&self->g.pt, self->pasid);
	__u8 newer[sizeof(data) + 64] = {};
	__u32 size;

	/* Misbehaving: cut at each byte */
	for (size = 0; size < need; size++) {
		data.argsz = size;
		test_err_bind_data(EINVAL, DEVICE, &data);
		test_err_bind_data(EINVAL, CONTAINER, &data);
	}
	test_stopped(req, VA, self->g.page[0]);

	/* Newer, with and without the new */
	data.argsz = sizeof(newer);
	memcpy(newer, &data, sizeof(data));
	for (size = sizeof(data); size < sizeof(newer); size++) {
		newer[size] = 1;
		EXPECT_ERRNO(E2BIG, nesting_call(DEVICE, OP_BIND_PGTBL, newer,
						 sizeof(newer)));
		newer[size] = 0;
	}
	test_stopped(req, VA, self->g.page[0]);
	ASSERT_DONE(nesting_call(DEVICE, OP_BIND_PGTBL, newer, sizeof(newer)));
	test_reaches(req, VA, self->g.page[0]);

	/* Older: an unbind needs no member, whatever it holds, but all names */
	size = offsetofend(struct iommu_gpasid_bind_data, gpasid);
	data.argsz = size - 1;
	test_err_unbind_data(EINVAL, DEVICE, &data);
	test_reaches(req, VA, self->g.page[0]);
	data.argsz = size;
	test_cmd_unbind_data(DEVICE, &data);
	test_stopped(req, VA, self->g.page[0]);

	/* Exact */
	data.argsz = need;
	test_cmd_bind_data(DEVICE, &data);
	test_reaches(req, VA, self->g.page[0]);
}

static int bind_with(struct guest *g, __u32 pasid, __u64 flags)
{
	struct iommu_gpasid_bind_data data = bind_data(&g->pt, pasid);

	data.vendor.vtd.flags = flags;
	return _test_cmd_bind_data(device_scope(&g->vmm, 0), &data);
}

/* Requests for privileged mode; the device asks for translations with it. */
TEST_F(vtd_bind, supervisor)
{
	struct requester req = requester(&self->g, 0, self->pasid, TESTDEV_ATS);
	struct requester priv = with_flags(req, TESTDEV_ATS | TESTDEV_PRIV);
	const __u64 sre = IOMMU_SVA_VTD_GPASID_SRE;
	const __u64 wpe = IOMMU_SVA_VTD_GPASID_WPE;
	__u64 *page = self->g.page, va = VA + SZ_4K;
	bool has = guest_ecap(&self->g, 0) & ECAP_SRS;
	int i;

	guest_map_level(&self->g.pt, VA, page[0], VTD_RW & ~VTD_U, 1);
	guest_map_level(&self->g.pt, va, page[1], VTD_RO, 1);
	for (i = 0; i < 2; i++) {
		__u64 flags = i ? sre | wpe : sre;

		if (!has) {
			EXPECT_ERRNO(EINVAL, bind_with(&self->g, self->pasid,
						       flags));
			continue;
		}
		ASSERT_DONE(bind_with(&self->g, self->pasid, flags));
		test_stopped(req, VA, page[0]);
		test_reaches(priv, VA, page[0]);
		test_writes_not(req, va, page[1]);
		test_reads(req, va, page[1]);
		if (flags & wpe)
			test_writes_not(priv, va, page[1]);
		else
			test_writes(priv, va, page[1]);
		test_cmd_unbind(DEVICE, self->pasid);
	}

	/* Without the flag they have no access at all */
	test_cmd_bind(DEVICE, &self->g.pt, self->pasid);
	test_stopped(priv, VA, page[0]);
	test_stopped(priv, va, page[1]);
	test_stopped(req, VA, page[0]);
	test_reads(req, va, page[1]);
}

TEST_F(vtd_bind, extended_accessed)
{
	struct requester req = requester(&self->g, 0, self->pasid, 0);
	__u64 entry = guest_pt_entry(&self->g.pt, VA, 1);
	int i;

	if (!(guest_ecap(&self->g, 0) & ECAP_EAFS)) {
		EXPECT_ERRNO(EINVAL, bind_with(&self->g, self->pasid,
					       IOMMU_SVA_VTD_GPASID_EAFE));
		return;
	}
	for (i = 0; i < 2; i++) {
		ASSERT_DONE(bind_with(&self->g, self->pasid,
				      i ? IOMMU_SVA_VTD_GPASID_EAFE : 0));
		test_reaches(req, VA, self->g.page[0]);
		EXPECT_EQ(i ? VTD_EA : 0,
			  guest_read(&self->g.vmm, entry) & VTD_EA);
		test_cmd_unbind(DEVICE, self->pasid);
	}
}

TEST_F(vtd_bind, inv_errors)
{
	struct requester req = requester(&self->g, 0, self->pasid, TESTDEV_ATS);
	struct iommu_cache_invalidate_info inv;
	__u32 pasid = self->pasid;

	/* Nothing is bound, so there is nothing stale */
	test_cmd_inv(DEVICE, inv_domain(IOTLB));
	test_err_inv(ENOENT, DEVICE, inv_pasid(IOTLB, pasid));
	test_cmd_bind(DEVICE, &self->g.pt, pasid);
	test_err_inv(ENOENT, DEVICE, inv_pasid(IOTLB, NO_PASID));
	test_err_inv(ENOENT, DEVICE, inv_pasid(IOTLB, pasid + 1));
	test_err_inv(EINVAL, DEVICE, inv_domain(DEV_IOTLB));
	test_err_inv(EINVAL, DEVICE, inv_addr(PASID_CACHE, pasid, VA, SZ_4K, 1));
	test_err_inv(EINVAL, DEVICE, inv_addr(IOTLB, pasid, VA, 0, 1));
	test_err_inv(EINVAL, DEVICE, inv_addr(IOTLB, pasid, VA, SZ_4K, 0));
	test_err_inv(EINVAL, DEVICE, inv_addr(IOTLB, pasid, VA, 3 * SZ_4K, 1));
	test_err_inv(EINVAL, DEVICE, inv_addr(IOTLB, pasid, VA + 8, SZ_4K, 1));
	test_err_inv(EINVAL, DEVICE, inv_addr(IOTLB, pasid, VA, SZ_4K, ~0ULL));
	inv = inv_pasid(IOTLB, pasid);
	inv.granu.pasid_info.flags = IOMMU_INV_PASID_FLAGS_ARCHID;
	test_err_inv(EINVAL, DEVICE, inv);
	inv = inv_domain(8);
	test_err_inv(EINVAL, DEVICE, inv);
	/* The queue goes on */
	test_cmd_inv(DEVICE, inv_domain(IOTLB | PASID_CACHE));
	test_reaches(req, VA, self->g.page[0]);
}

/* A device has as many as fit into the quota; it is another number afterwards. */
TEST_F(vtd_bind, quota)
{
	long quota = param_get(PARAM_PASID_QUOTA);
	__u32 pasid;
	int i;

	guest_close(&self->g);
	ASSERT_EQ(0, param_set(PARAM_PASID_QUOTA, 5));
	ASSERT_EQ(0, guest_open(&self->g, 0));
	ASSERT_EQ(0, param_set(PARAM_PASID_QUOTA, quota));
	for (i = 0; i < 5; i++)
		ASSERT_DONE(guest_pasid(&self->g, &pasid));
	test_err_pasid_alloc(EDQUOT, self->g.vmm.container, 1, UINT_MAX);
	test_cmd_pasid_free(self->g.vmm.container, pasid, pasid);
	ASSERT_DONE(guest_pasid(&self->g, &pasid));
	test_cmd_bind(DEVICE, &self->g.pt, pasid);
	test_reaches(requester(&self->g, 0, pasid, 0), VA, self->g.page[0]);
	/* Freeing it unbinds it */
	test_cmd_pasid_free(self->g.vmm.container, 1, UINT_MAX);
	test_stopped(requester(&self->g, 0, pasid, 0), VA, self->g.page[0]);
}

/* Domain ids of the unit: "supported" or "used" */
static long domain_ids(const char *which)
{
	char path[80];

	snprintf(path, sizeof(path),
		 "/sys/class/iommu/dmar0/intel-iommu/domains_%s", which);
	return param_get(path);
}

/* Bind one PASID after the other until something is missing; returns how many */
static long bind_all(struct guest *g, int n, long max)
{
	long bound;
	__u32 pasid;

	for (bound = 0; bound < max; bound++)
		if (guest_pasid(g, &pasid) ||
		    _test_cmd_bind(device_scope(&g->vmm, n), &g->pt, pasid))
			break;
	return bound;
}

/* Nobody takes them all, and none is lost. */
TEST_F(vtd_bind, domain_ids)
{
	long all = domain_ids("supported"), used = domain_ids("used");
	struct guest other;

	ASSERT_LT(0, used);
	test_cmd_bind(DEVICE, &self->g.pt, self->pasid);
	EXPECT_EQ(used + 1, domain_ids("used"));
	test_cmd_unbind(DEVICE, self->pasid);
	EXPECT_EQ(used, domain_ids("used"));
	/* Stage 2 keeps its own, which it needs again afterwards. */
	test_cmd_bind(DEVICE, &self->g.pt, NO_PASID);
	EXPECT_EQ(used + 1, domain_ids("used"));
	test_cmd_unbind(DEVICE, NO_PASID);
	EXPECT_EQ(used, domain_ids("used"));

	/* Only a unit of a few ids runs out of them before the quota does. */
	if (all > 1024)
		return;
	EXPECT_EQ(all / 4, bind_all(&self->g, 0, all));
	EXPECT_EQ(ENOSPC, errno);
	ASSERT_EQ(0, guest_open(&other, 1));
	EXPECT_EQ(all / 4, bind_all(&other, 1, all));
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_GE(all - all / 4, domain_ids("used"));
	guest_close(&other);
	test_cmd_pasid_free(self->g.vmm.container, 1, UINT_MAX);
	EXPECT_EQ(used, domain_ids("used"));
	test_reaches_raw(0, self->g.page[1]);
}

TEST_F_TIMEOUT(vtd_bind, hundred_rounds, 120)
{
	__u32 pasids[] = { self->pasid, NO_PASID };
	long used = domain_ids("used");
	int i;

	for (i = 0; i < 200; i++) {
		struct requester req = requester(&self->g, 0, pasids[i % 2],
						 i & 2 ? TESTDEV_ATS : 0);

		test_cmd_bind(i & 4 ? CONTAINER : DEVICE, &self->g.pt, req.pasid);
		test_writes(req, VA, self->g.page[0]);
		test_cmd_unbind(DEVICE, req.pasid);
		test_writes_not(req, VA, self->g.page[0]);
	}
	EXPECT_EQ(used, domain_ids("used"));
	test_reaches_raw(0, self->g.page[1]);
}

#ifdef __LP64__
/* A device without PASID, ATS and page requests, beside one that has them */
TEST_F(vtd_bind, unlike_devices)
{
	struct scope scope = SCOPE(1);
	struct iommu_nesting_info info;
	struct pci_dev edu;
	__u64 value;

	if (!edu_count)
		SKIP(return, "no edu device");
	ASSERT_EQ(0, vmm_add_pci(&self->g.vmm, 0, 1, edu_names[0]));
	ASSERT_EQ(0, edu_start(&edu, self->g.vmm.dev[1]));
	ASSERT_DONE(_test_cmd_get_nesting_cap(self->g.vmm.container, &info));
	EXPECT_EQ(IOMMU_NESTING_FEAT_BIND_PGTBL | IOMMU_NESTING_FEAT_CACHE_INVLD,
		  info.features & (IOMMU_NESTING_FEAT_BIND_PGTBL |
				   IOMMU_NESTING_FEAT_CACHE_INVLD |
				   IOMMU_NESTING_FEAT_PAGE_REQUEST));
	EXPECT_EQ(0, info.pasid_bits);

	guest_map(&self->g.pt, VA2, self->g.page[1]);
	EXPECT_NE(0, _test_cmd_bind(scope, &self->g.pt, self->pasid));
	EXPECT_NE(0, _test_cmd_bind(CONTAINER, &self->g.pt, self->pasid));
	test_stopped(requester(&self->g, 0, self->pasid, 0), VA,
		     self->g.page[0]);
	test_cmd_bind(CONTAINER, &self->g.pt, NO_PASID);
	value = fresh_value();
	guest_write(&self->g.vmm, self->g.page[0], value);
	EXPECT_EQ(0, edu_dma(&edu, false, VA, 0, 8));
	EXPECT_EQ(0, edu_dma(&edu, true, VA2, 0, 8));
	EXPECT_EQ(value, guest_read(&self->g.vmm, self->g.page[1]));
	test_reaches(requester(&self->g, 0, NO_PASID, TESTDEV_ATS), VA,
		     self->g.page[0]);

	/* It has no TLB of its own, the other one has */
	guest_map(&self->g.pt, VA, self->g.page[1]);
	guest_map(&self->g.pt, VA2, self->g.page[0]);
	test_cmd_inv(CONTAINER, inv_pasid(info.caches, NO_PASID));
	test_cmd_inv(SCOPE(0), inv_pasid(DEV_IOTLB, NO_PASID));
	value = fresh_value();
	guest_write(&self->g.vmm, self->g.page[1], value);
	EXPECT_EQ(0, edu_dma(&edu, false, VA, 0, 8));
	EXPECT_EQ(0, edu_dma(&edu, true, VA2, 0, 8));
	EXPECT_EQ(value, guest_read(&self->g.vmm, self->g.page[0]));
	test_reaches(requester(&self->g, 0, NO_PASID, TESTDEV_ATS), VA,
		     self->g.page[1]);
	test_cmd_bind(SCOPE(0), &self->g.pt, self->pasid);
	test_reaches(requester(&self->g, 0, self->pasid, TESTDEV_ATS), VA,
		     self->g.page[1]);
	pci_stop(&edu);
}
#endif

#define MANY		1000

/* Shared and separate tables, a thousand at once */
TEST_F_TIMEOUT(vtd_bind, thousand_bound, 300)
{
	long quota = param_get(PARAM_PASID_QUOTA);
	__u32 pasid[MANY];
	struct guest_pt other;
	int i, flags;

	guest_close(&self->g);
	ASSERT_EQ(0, param_set(PARAM_PASID_QUOTA, MANY + 1));
	ASSERT_EQ(0, guest_open(&self->g, 0));
	ASSERT_EQ(0, param_set(PARAM_PASID_QUOTA, quota));
	guest_pt_init(&other, &self->g.vmm, GUEST_PT_VTD, 4);
	guest_map(&other, VA, self->g.page[1]);
	for (i = 0; i < MANY; i++) {
		ASSERT_DONE(guest_pasid(&self->g, &pasid[i]));
		test_cmd_bind(DEVICE, i % 2 ? &other : &self->g.pt, pasid[i]);
	}
	for (flags = 0; flags <= TESTDEV_ATS; flags += TESTDEV_ATS)
		for (i = 0; i < MANY; i += 111)
			test_reaches(requester(&self->g, 0, pasid[i], flags), VA,
				     self->g.page[i % 2]);
	/* One out of the middle */
	test_cmd_unbind(DEVICE, pasid[444]);
	test_stopped(requester(&self->g, 0, pasid[444], 0), VA, self->g.page[0]);
	test_stopped(requester(&self->g, 0, pasid[444], TESTDEV_ATS), VA,
		     self->g.page[0]);
	test_reaches(requester(&self->g, 0, pasid[445], TESTDEV_ATS), VA,
		     self->g.page[1]);
	/* An invalidation for all of them */
	test_cmd_inv(DEVICE, inv_domain(IOTLB));
	test_reaches(requester(&self->g, 0, pasid[333], 0), VA,
		     self->g.page[1]);
	test_cmd_pasid_free(self->g.vmm.container, 1, UINT_MAX);
	for (i = 0; i < MANY; i += 333)
		test_stopped(requester(&self->g, 0, pasid[i], 0), VA,
			     self->g.page[i % 2]);
	test_reaches_raw(0, self->g.page[1]);
}

/* Interrupts are no memory to the guest's table, whatever it says of them. */
TEST_F(vtd_bind, msix)
{
	__u32 pasids[] = { self->pasid, NO_PASID };
	struct testdev *dev = &self->g.dev[0];
	__u64 page = guest_page(&self->g.vmm), a;
	int fd[2], i, vector;

	ASSERT_DONE(pci_irq_fds(&dev->pci, VFIO_PCI_MSIX_IRQ_INDEX, fd, 2));
	for (vector = 0; vector < 2; vector++)
		EXPECT_TRUE(testdev_irq_arrives(dev, vector, fd[vector]));
	for (i = 0; i < 2; i++) {
		test_cmd_bind(DEVICE, &self->g.pt, pasids[i]);
		for (vector = 0; vector < 2; vector++)
			EXPECT_TRUE(testdev_irq_arrives(dev, vector,
							fd[vector]));
		test_reaches(requester(&self->g, 0, pasids[i], 0), VA,
			     self->g.page[0]);
	}
	for (a = 0; a < 16 * SZ_4K; a += SZ_4K)
		guest_map(&self->g.pt, MSI_WINDOW + a, page);
	for (vector = 0; vector < 2; vector++)
		EXPECT_TRUE(testdev_irq_arrives(dev, vector, fd[vector]));
	for (a = 0; a < SZ_4K; a += 8)
		EXPECT_EQ(0, guest_read(&self->g.vmm, page + a));
	for (i = 0; i < 2; i++) {
		test_cmd_unbind(DEVICE, pasids[i]);
		EXPECT_TRUE(testdev_irq_arrives(dev, i, fd[i]));
	}
	for (i = 0; i < 2; i++)
		close(fd[i]);
}

/* Reset the function under everything that is bound. */
TEST_F(vtd_bind, reset)
{
	__u32 pasids[] = { self->pasid, NO_PASID };
	struct testdev *dev = &self->g.dev[0];
	int fault = fault_open(self->g.vmm.dev[0]);
	struct iommu_fault record;
	int i, flags;

	ASSERT_LE(0, fault);
	for (i = 0; i < 2; i++) {
		test_cmd_bind(DEVICE, &self->g.pt, pasids[i]);
		test_reaches(requester(&self->g, 0, pasids[i], TESTDEV_ATS), VA,
			     self->g.page[0]);
	}
	/* In the middle of a transfer that waits for its page */
	EXPECT_EQ(TESTDEV_WAITING,
		  testdev_begin(dev, 1, TESTDEV_TO_BUS | TESTDEV_ATS |
				TESTDEV_PRI, self->pasid, VA_UNMAPPED, 0, 8));
	test_cmd_fault_read(fault, &record);
	EXPECT_EQ(VA_UNMAPPED, record.prm.addr);
	ASSERT_DONE(ioctl(self->g.vmm.dev[0], VFIO_DEVICE_RESET));
	EXPECT_EQ(TESTDEV_IDLE, testdev_status(dev, 1));
	EXPECT_EQ(0, testdev_read(dev, TESTDEV_ATC_USED));

	/* The answer comes too late, and does no harm */
	guest_map(&self->g.pt, VA_UNMAPPED, self->g.page[1]);
	test_cmd_respond(fault, 0, self->pasid, record.prm.grpid, SUCCESS);
	EXPECT_EQ(TESTDEV_IDLE, testdev_status(dev, 1));
	EXPECT_EQ(0, guest_read(&self->g.vmm, self->g.page[1]));

	/* The bindings are still there, and so is all that they need */
	for (i = 0; i < 2; i++)
		for (flags = 0; flags <= TESTDEV_ATS; flags += TESTDEV_ATS)
			test_reaches(requester(&self->g, 0, pasids[i], flags), VA,
				     self->g.page[0]);
	guest_unmap(&self->g.pt, VA_UNMAPPED);
	test_cmd_inv(DEVICE, inv_pasid(IOTLB | DEV_IOTLB, self->pasid));
	EXPECT_EQ(TESTDEV_WAITING,
		  testdev_begin(dev, 1, TESTDEV_TO_BUS | TESTDEV_ATS |
				TESTDEV_PRI, self->pasid, VA_UNMAPPED, 0, 8));
	test_cmd_fault_read(fault, &record);
	test_cmd_respond(fault, 0, self->pasid, record.prm.grpid, INVALID);
	EXPECT_EQ(TESTDEV_INVALID, testdev_end(dev, 1));
	close(fault);
}

/* PASIDs need it, and what is cached of them, whatever the other requests have. */
TEST_F(vtd_bind, ats_stays_on)
{
	struct requester req = requester(&self->g, 0, self->pasid, TESTDEV_ATS);
	__u32 used;

	test_cmd_bind(DEVICE, &self->g.pt, self->pasid);
	test_reaches(req, VA, self->g.page[0]);
	used = testdev_read(req.dev, TESTDEV_ATC_USED);
	EXPECT_LT(0, used);
	test_cmd_bind(DEVICE, &self->g.pt, NO_PASID);
	EXPECT_EQ(used, testdev_read(req.dev, TESTDEV_ATC_USED));
	test_cmd_unbind(DEVICE, NO_PASID);
	EXPECT_EQ(used, testdev_read(req.dev, TESTDEV_ATC_USED));
	test_reaches(req, VA, self->g.page[0]);
}

/* Closing the device ends what was bound through it, not through the container. */
TEST_F(vtd_bind, close_device)
{
	struct vmm *vmm = &self->g.vmm;
	__u32 kept;
	int i;

	ASSERT_DONE(guest_pasid(&self->g, &kept));
	test_cmd_bind(CONTAINER, &self->g.pt, kept);
	for (i = 0; i < 2; i++) {
		test_cmd_bind(DEVICE, &self->g.pt, self->pasid);
		test_cmd_bind(DEVICE, &self->g.pt, NO_PASID);
		test_reaches(requester(&self->g, 0, self->pasid, TESTDEV_ATS),
			     VA, self->g.page[0]);
		testdev_stop(&self->g.dev[0]);
		close(vmm->dev[0]);
		vmm->dev[0] = ioctl(vmm->group[0], VFIO_GROUP_GET_DEVICE_FD,
				    testdev_names[0]);
		ASSERT_LE(0, vmm->dev[0]);
		ASSERT_EQ(0, testdev_start(&self->g.dev[0], vmm->dev[0]));
		test_stopped(requester(&self->g, 0, self->pasid, 0), VA,
			     self->g.page[0]);
		test_reaches_raw(0, self->g.page[1]);
		test_err_unbind(ENOENT, DEVICE, self->pasid);
		test_reaches(requester(&self->g, 0, kept, TESTDEV_ATS), VA,
			     self->g.page[0]);
		test_reaches(requester(&self->g, 0, kept, 0), VA,
			     self->g.page[0]);
	}
}

/* ---------------------------------------------------------------------
 * Two devices
 */
FIXTURE(vtd_two)
{
	struct guest g;
	/* What device 1 has: another table, another PASID */
	struct guest_pt pt;
	__u32 pasid[2];
	struct requester req[2];
};

FIXTURE_SETUP(vtd_two)
{
	int i;

	if (nr_dev < 2)
		SKIP(return, "no two test devices behind an IOMMU");
	ASSERT_EQ(0, guest_open(&self->g, 0));
	guest_pt_init(&self->pt, &self->g.vmm, GUEST_PT_VTD, 4);
	guest_map(&self->pt, VA, self->g.page[1]);
	for (i = 0; i < 2; i++) {
		ASSERT_DONE(guest_pasid(&self->g, &self->pasid[i]));
		self->req[i] = requester(&self->g, i, self->pasid[i],
					 TESTDEV_ATS);
	}
}

FIXTURE_TEARDOWN(vtd_two)
{
	guest_close(&self->g);
}

static void guest_remove(struct guest *g, int n)
{
	testdev_stop(&g->dev[n]);
	close_fd(&g->vmm.dev[n]);
	close_fd(&g->vmm.group[n]);
}

/* PASIDs in a page of the table that nobody has asked for, nor the run before */
#define FAR_PASID	(9000 + 64 * (getpid() % 256))

/*
 * Whatever memory is missing for device 1, what device 0 has in the IOTLB goes when
 * it is unmapped.
 */
TEST_F_TIMEOUT(vtd_two, no_memory, 120)
{
	struct requester raw = requester(&self->g, 0, NO_PASID, 0);
	enum { ADD, BIND, BIND_NO_PASID, NR } call;
	volatile __u64 *page;
	bool injected;
	int fd, nth;
	__u32 far;

	fd = inject_open();
	if (fd < 0 || !inject_setup())
		SKIP(return, "fault injection is not enabled in the kernel");
	page = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE,
		    MAP_ANONYMOUS | MAP_SHARED | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)page);
	ASSERT_DONE(_test_cmd_pasid_alloc(self->g.vmm.container, FAR_PASID,
					  UINT_MAX, &far));
	for (call = ADD; call < NR; call++) {
		injected = true;
		if (call != ADD)
			ASSERT_EQ(0, guest_add(&self->g, 1, false));
		for (nth = 1; injected; nth++) {
			__u32 pasid = call == BIND ? far : NO_PASID;
			__u64 value = fresh_value();
			int ret, err;

			ASSERT_GT(1000, nth);
			ASSERT_DONE(map_page(&self->g.vmm, (void *)page, GPA_HOLE));
			ASSERT_EQ(TESTDEV_DONE, device_write(raw, GPA_HOLE, value));
			ASSERT_EQ(value, *page);
			inject_start(fd, nth);
			if (call == ADD)
				ret = guest_add(&self->g, 1, false);
			else
				ret = _test_cmd_bind(SCOPE(1), &self->pt, pasid);
			err = errno;
			injected = inject_stop(fd);
			EXPECT_TRUE(!ret || injected);
			EXPECT_TRUE(!ret || call == ADD || err == ENOMEM);
			ASSERT_DONE(unmap_page(&self->g.vmm, GPA_HOLE));
			EXPECT_TRUE(is_stopped(device_write(raw, GPA_HOLE,
							    fresh_value())));
			EXPECT_EQ(value, *page);
			if (call == ADD) {
				guest_remove(&self->g, 1);
			} else if (!ret) {
				test_reaches(requester(&self->g, 1, pasid, 0), VA,
					     self->g.page[1]);
				test_cmd_unbind(SCOPE(1), pasid);
			} else {
				test_stopped(requester(&self->g, 1, pasid, 0), VA,
					     self->g.page[1]);
			}
		}
		/* The last one was without, and before it there were some. */
		EXPECT_LT(2, nth);
		if (call != ADD)
			guest_remove(&self->g, 1);
	}
	munmap((void *)page, SZ_4K);
	close(fd);
}

TEST_F(vtd_two, one_container)
{
	__u32 spare[2] = { NO_PASID, self->pasid[0] };
	int i;

	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	test_cmd_bind(SCOPE(0), &self->g.pt, self->pasid[0]);
	test_cmd_bind(SCOPE(1), &self->pt, self->pasid[1]);
	/* The same number on both, each with its own table */
	for (i = 0; i < 2; i++) {
		if (i)
			test_cmd_unbind(SCOPE(0), self->pasid[0]);
		test_cmd_bind(SCOPE(0), &self->g.pt, spare[i]);
		test_cmd_bind(SCOPE(1), &self->pt, spare[i]);
		test_reaches(with_pasid(self->req[0], spare[i]), VA,
			     self->g.page[0]);
		test_reaches(with_pasid(self->req[1], spare[i]), VA,
			     self->g.page[1]);
	}
	test_reaches(self->req[0], VA, self->g.page[0]);
	test_reaches(self->req[1], VA, self->g.page[1]);
	test_stopped(with_pasid(self->req[0], self->pasid[1]), VA,
		     self->g.page[1]);

	/* Unbinding one leaves the other */
	test_cmd_unbind(SCOPE(0), self->pasid[0]);
	test_stopped(self->req[0], VA, self->g.page[0]);
	test_reaches(with_pasid(self->req[1], self->pasid[0]), VA,
		     self->g.page[1]);
	test_err_unbind(ENOENT, SCOPE(0), self->pasid[0]);
	/* The container's form takes it from all that have it */
	test_cmd_unbind(CONTAINER, self->pasid[0]);
	test_cmd_unbind(CONTAINER, NO_PASID);
	for (i = 0; i < 2; i++)
		test_reaches_raw(i, self->g.page[0]);
	test_reaches(self->req[1], VA, self->g.page[1]);
}

/* Each device has a cache of its own, which others' invalidations leave alone. */
TEST_F(vtd_two, invalidations)
{
	__u32 invals;
	int i;

	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	for (i = 0; i < 2; i++) {
		self->req[i].pasid = self->pasid[0];
		test_cmd_bind(SCOPE(i), &self->g.pt, self->pasid[0]);
		test_writes(self->req[i], VA, self->g.page[0]);
	}
	guest_map(&self->g.pt, VA, self->g.page[1]);
	invals = testdev_read(self->req[1].dev, TESTDEV_ATC_INVALS);
	test_cmd_inv(SCOPE(0), inv_pasid(IOTLB | DEV_IOTLB, self->pasid[0]));
	test_writes(self->req[0], VA, self->g.page[1]);
	EXPECT_EQ(invals, testdev_read(self->req[1].dev, TESTDEV_ATC_INVALS));
	test_writes(self->req[1], VA, self->g.page[0]);
	test_cmd_inv(SCOPE(1), inv_addr(IOTLB | DEV_IOTLB, self->pasid[0], VA,
					SZ_4K, 1));
	test_writes(self->req[1], VA, self->g.page[1]);
	EXPECT_LT(invals, testdev_read(self->req[1].dev, TESTDEV_ATC_INVALS));

	/* The container's form is for both */
	guest_map(&self->g.pt, VA, self->g.page[0]);
	test_cmd_inv(CONTAINER, inv_addr(IOTLB | DEV_IOTLB, self->pasid[0], VA,
					 SZ_4K, 1));
	for (i = 0; i < 2; i++)
		test_writes(self->req[i], VA, self->g.page[0]);
	/* Also if only one of them has the binding */
	test_cmd_unbind(SCOPE(0), self->pasid[0]);
	guest_map(&self->g.pt, VA, self->g.page[1]);
	test_err_inv(ENOENT, SCOPE(0), inv_pasid(IOTLB, self->pasid[0]));
	test_cmd_inv(CONTAINER, inv_pasid(IOTLB | DEV_IOTLB, self->pasid[0]));
	test_writes(self->req[1], VA, self->g.page[1]);
}

/* One table for all of the container, or for none */
TEST_F(vtd_two, container_scope)
{
	__u32 pasid = self->pasid[0];
	int i;

	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	self->req[1].pasid = pasid;
	test_cmd_bind(SCOPE(1), &self->pt, pasid);
	test_err_bind(EBUSY, CONTAINER, &self->g.pt, pasid);
	test_stopped(self->req[0], VA, self->g.page[0]);
	test_reaches(self->req[1], VA, self->g.page[1]);
	test_cmd_unbind(CONTAINER, pasid);
	test_cmd_bind(CONTAINER, &self->g.pt, pasid);
	for (i = 0; i < 2; i++)
		test_reaches(self->req[i], VA, self->g.page[0]);
	test_cmd_pasid_free(self->g.vmm.container, pasid, pasid);
	for (i = 0; i < 2; i++)
		test_stopped(self->req[i], VA, self->g.page[0]);
}

/* A device that comes later has stage 2 alone until it is bound itself. */
TEST_F(vtd_two, late_joiner)
{
	struct requester late = with_pasid(self->req[1], self->pasid[0]);

	test_cmd_bind(CONTAINER, &self->g.pt, self->pasid[0]);
	test_cmd_bind(CONTAINER, &self->g.pt, NO_PASID);
	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	test_stopped(late, VA, self->g.page[0]);
	test_reaches_raw(1, self->g.page[0]);
	test_reaches(self->req[0], VA, self->g.page[0]);
	test_err_bind(EBUSY, CONTAINER, &self->g.pt, self->pasid[0]);
	test_cmd_bind(SCOPE(1), &self->g.pt, self->pasid[0]);
	test_reaches(late, VA, self->g.page[0]);
	test_cmd_unbind(CONTAINER, self->pasid[0]);
	test_stopped(late, VA, self->g.page[0]);
	test_stopped(self->req[0], VA, self->g.page[0]);
}

/* Two guests, with the same addresses: neither sees the other. */
TEST_F(vtd_two, two_containers)
{
	struct requester ours[2], theirs[2];
	struct guest other;
	__u32 pasid;
	int i;

	ASSERT_EQ(0, guest_open(&other, 1));
	ASSERT_DONE(guest_pasid(&other, &pasid));
	ours[0] = self->req[0];
	ours[1] = requester(&self->g, 0, NO_PASID, 0);
	theirs[0] = requester(&other, 1, pasid, TESTDEV_ATS);
	theirs[1] = requester(&other, 1, NO_PASID, 0);
	for (i = 0; i < 2; i++) {
		test_cmd_bind(DEVICE, &self->g.pt, ours[i].pasid);
		test_cmd_bind(container_scope(&other.vmm), &other.pt,
			      theirs[i].pasid);
		test_reaches(ours[i], VA, self->g.page[0]);
		test_writes_in(&other.vmm, theirs[i], VA, other.page[0]);
		test_reads_in(&other.vmm, theirs[i], VA, other.page[0]);
	}
	test_err_bind(ENOENT, container_scope(&other.vmm), &other.pt,
		      self->pasid[0]);
	test_err_inv(ENOENT, container_scope(&other.vmm),
		     inv_pasid(IOTLB, self->pasid[0]));
	test_err_pasid_free(ENOENT, other.vmm.container, self->pasid[0],
			    self->pasid[1]);
	test_err_unbind(ENOENT, container_scope(&other.vmm), self->pasid[0]);

	/* The other guest's invalidations do not reach our entries */
	guest_map(&self->g.pt, VA, self->g.page[1]);
	test_cmd_inv(container_scope(&other.vmm), inv_domain(IOTLB));
	test_cmd_inv(container_scope(&other.vmm),
		     inv_pasid(IOTLB | DEV_IOTLB, NO_PASID));
	test_cmd_inv(container_scope(&other.vmm),
		     inv_addr(IOTLB | DEV_IOTLB, pasid, VA, SZ_4K, 1));
	for (i = 0; i < 2; i++)
		test_writes(ours[i], VA, self->g.page[0]);
	test_cmd_inv(CONTAINER, inv_domain(IOTLB));
	test_cmd_inv(CONTAINER, inv_pasid(DEV_IOTLB, ours[0].pasid));
	for (i = 0; i < 2; i++)
		test_writes(ours[i], VA, self->g.page[1]);

	/* Nor does its end */
	guest_close(&other);
	for (i = 0; i < 2; i++)
		test_reaches(ours[i], VA, self->g.page[1]);
}

static int request_page(struct requester req, int i)
{
	return testdev_begin(req.dev, 0, TESTDEV_PRQ_ONLY, req.pasid,
			     VA_UNMAPPED + i * SZ_4K, 0, 1);
}

/* Faults and page requests go to the device that they are of */
TEST_F(vtd_two, faults)
{
	struct iommu_fault record;
	int fd[2], i;

	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	for (i = 0; i < 2; i++) {
		fd[i] = fault_open(self->g.vmm.dev[i]);
		ASSERT_LE(0, fd[i]);
		EXPECT_ERRNO(EBUSY, fault_open(self->g.vmm.dev[i]));
		test_cmd_bind(SCOPE(i), &self->pt, self->pasid[0]);
		self->req[i].pasid = self->pasid[0];
	}
	for (i = 0; i < 2; i++) {
		ASSERT_DONE(cause_fault(fd[i], with_flags(self->req[i], 0), true,
					VA_UNMAPPED + i * SZ_4K, &record));
		EXPECT_EQ(VA_UNMAPPED + i * SZ_4K, record.event.addr);
		test_fault_none(fd[!i]);
	}
	/* The same group index of both: each device counts its own */
	for (i = 0; i < 2; i++)
		ASSERT_EQ(TESTDEV_WAITING, request_page(self->req[i], i));
	while (testdev_prgi(self->req[0].dev, 0) !=
	       testdev_prgi(self->req[1].dev, 0)) {
		i = testdev_prgi(self->req[0].dev, 0) >
		    testdev_prgi(self->req[1].dev, 0);
		test_cmd_fault_read(fd[i], &record);
		test_cmd_respond(fd[i], 0, self->pasid[0], record.prm.grpid,
				 SUCCESS);
		ASSERT_EQ(TESTDEV_DONE, testdev_end(self->req[i].dev, 0));
		ASSERT_EQ(TESTDEV_WAITING, request_page(self->req[i], i));
	}
	for (i = 1; i >= 0; i--) {
		test_cmd_fault_read(fd[i], &record);
		EXPECT_EQ(IOMMU_FAULT_PAGE_REQ, record.type);
		EXPECT_EQ(VA_UNMAPPED + i * SZ_4K, record.prm.addr);
		test_cmd_respond(fd[i], 0, self->pasid[0], record.prm.grpid,
				 i ? SUCCESS : INVALID);
		EXPECT_EQ(i ? TESTDEV_DONE : TESTDEV_INVALID,
			  testdev_end(self->req[i].dev, 0));
	}
	for (i = 0; i < 2; i++)
		close(fd[i]);
}

/* One device's life, with requests pending each time when it ends */
struct life_thread {
	pthread_t thread;
	struct guest *g;
	struct requester req;
	struct scope scope;
	unsigned int rounds, failed;
};

static bool live_once(struct life_thread *t)
{
	if (_test_cmd_bind(t->scope, &t->g->pt, t->req.pasid))
		return false;
	if (device_write(t->req, VA, t->rounds) != TESTDEV_DONE ||
	    testdev_begin(t->req.dev, 1, TESTDEV_PRQ_ONLY, t->req.pasid,
			  VA_UNMAPPED, 0, 5) != TESTDEV_WAITING ||
	    _test_cmd_inv(t->scope, inv_pasid(IOTLB | DEV_IOTLB,
					      t->req.pasid)) ||
	    _test_cmd_unbind(t->scope, t->req.pasid))
		return false;
	return testdev_end(t->req.dev, 1) == TESTDEV_INVALID &&
	       is_stopped(device_write(t->req, VA, t->rounds));
}

static void *life_thread_fn(void *arg)
{
	struct life_thread *t = arg;

	for (t->rounds = 0; t->rounds < 50 && !t->failed; t->rounds++)
		t->failed += !live_once(t);
	return NULL;
}

/* Both share the IOMMU's queues, and what waits for these to be empty. */
TEST_F(vtd_two, parallel)
{
	struct life_thread t[2];
	int fault[2], i;

	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	for (i = 0; i < 2; i++) {
		fault[i] = fault_open(self->g.vmm.dev[i]);
		ASSERT_LE(0, fault[i]);
		t[i] = (struct life_thread) {
			.g = &self->g,
			.req = self->req[i],
			.scope = SCOPE(i),
		};
		ASSERT_EQ(0, pthread_create(&t[i].thread, NULL, life_thread_fn,
					    &t[i]));
	}
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(t[i].thread, NULL));
		EXPECT_EQ(0, t[i].failed) {
			TH_LOG("device %d, round %u", i, t[i].rounds);
		}
		EXPECT_EQ(50, t[i].rounds);
		test_fault_none(fault[i]);
		close(fault[i]);
	}
}

/* ---------------------------------------------------------------------
 * A device that does not answer invalidation requests
 */
#define NEVER		0x10000000

/* The hardware has not confirmed it, which may be told in two ways */
#define test_unconfirmed(call)						\
	({								\
		int _ret, _err;						\
									\
		errno = 0;						\
		_ret = (call);						\
		_err = errno;						\
		EXPECT_EQ(-1, _ret);					\
		EXPECT_TRUE(_err == ETIMEDOUT || _err == EIO) {		\
			TH_LOG("errno %d of %s", _err, #call);		\
		}							\
	})

struct inv_thread {
	pthread_t thread;
	struct scope scope;
	__u32 pasid;
	volatile bool stop;
	unsigned int done, failed;
};

static void *inv_thread_fn(void *arg)
{
	struct inv_thread *t = arg;

	while (!t->stop) {
		if (_test_cmd_inv(t->scope, inv_addr(IOTLB | DEV_IOTLB, t->pasid,
						     VA, SZ_4K, 1)))
			t->failed++;
		t->done++;
	}
	return NULL;
}

TEST_F_TIMEOUT(vtd_two, time_out, 120)
{
	__u32 pasid = self->pasid[0];
	struct iommu_cache_invalidate_info inv[] = {
		inv_pasid(IOTLB, pasid),
		inv_addr(IOTLB | DEV_IOTLB, pasid, VA, SZ_4K, 1),
		inv_pasid(IOTLB | DEV_IOTLB, pasid),
		inv_pasid(IOTLB, pasid),
	};
	struct testdev *dev = &self->g.dev[0];
	struct inv_thread neighbour;
	unsigned int i, done;

	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	for (i = 0; i < 2; i++) {
		self->req[i].pasid = pasid;
		test_cmd_bind(SCOPE(i), &self->g.pt, pasid);
		test_writes(self->req[i], VA, self->g.page[0]);
	}
	neighbour = (struct inv_thread) { .scope = SCOPE(1), .pasid = pasid };
	ASSERT_EQ(0, pthread_create(&neighbour.thread, NULL, inv_thread_fn,
				    &neighbour));
	for (i = 0; i < WAIT_MS && !neighbour.done; i++)
		sleep_ms(1);

	testdev_write(dev, TESTDEV_INV_IGNORE, NEVER);
	guest_map(&self->g.pt, VA, self->g.page[1]);
	for (i = 1; i < 3; i++)
		test_unconfirmed(_test_cmd_inv(SCOPE(0), inv[i]));
	/* It is as bad as it sounds */
	test_writes(self->req[0], VA, self->g.page[0]);
	test_unconfirmed(_test_cmd_inv_batch(SCOPE(0), inv, sizeof(*inv), 4,
					     &done));
	EXPECT_EQ(1, done);
	/* Tried on all devices of the container, whatever one says */
	test_unconfirmed(_test_cmd_inv(CONTAINER, inv[2]));
	test_writes(self->req[1], VA, self->g.page[1]);
	/* What the device has no part in works, in the middle of that */
	test_cmd_inv(SCOPE(0), inv[0]);
	test_writes(with_flags(self->req[0], 0), VA, self->g.page[1]);
	test_writes(self->req[0], VA, self->g.page[0]);
	EXPECT_GT(NEVER, testdev_read(dev, TESTDEV_INV_IGNORE));

	/* And all does when it answers again */
	testdev_write(dev, TESTDEV_INV_IGNORE, 0);
	test_cmd_inv(SCOPE(0), inv[1]);
	test_writes(self->req[0], VA, self->g.page[1]);

	/* One that is lost: an error, or tried again, but no stale success */
	guest_map(&self->g.pt, VA, self->g.page[0]);
	testdev_write(dev, TESTDEV_INV_IGNORE, 1);
	if (_test_cmd_inv(SCOPE(0), inv[2]))
		test_cmd_inv(SCOPE(0), inv[2]);
	test_writes(self->req[0], VA, self->g.page[0]);
	EXPECT_EQ(0, testdev_read(dev, TESTDEV_INV_IGNORE));

	neighbour.stop = true;
	ASSERT_EQ(0, pthread_join(neighbour.thread, NULL));
	EXPECT_LT(0, neighbour.done);
	EXPECT_EQ(0, neighbour.failed) {
		TH_LOG("of %u", neighbour.done);
	}
}

/* The device's TLB is off, and nothing of the page is in it. */
#define test_no_dev_tlb(req, va, gpa)					\
	({								\
		__u64 _value = fresh_value();				\
									\
		guest_write(&self->g.vmm, gpa, _value);			\
		EXPECT_EQ(TESTDEV_REFUSED,				\
			  device_write(req, va, fresh_value()));	\
		EXPECT_EQ(_value, guest_read(&self->g.vmm, gpa));	\
	})

FIXTURE(vtd_late)
{
	struct guest g;
	struct requester req;
};

FIXTURE_VARIANT(vtd_late)
{
	bool no_pasid;
};

FIXTURE_VARIANT_ADD(vtd_late, pasid)
{
};

FIXTURE_VARIANT_ADD(vtd_late, no_pasid)
{
	.no_pasid = true,
};

static int late_open(struct guest *g, struct requester *req, bool no_pasid)
{
	__u32 pasid = NO_PASID;

	if (guest_open(g, 0) || (!no_pasid && guest_pasid(g, &pasid)))
		return -1;
	*req = requester(g, 0, pasid, TESTDEV_ATS);
	testdev_write(&g->dev[0], TESTDEV_INV_IGNORE, 0);
	return 0;
}

FIXTURE_SETUP(vtd_late)
{
	if (!nr_dev)
		SKIP(return, "no test device behind an IOMMU");
	ASSERT_EQ(0, late_open(&self->g, &self->req, variant->no_pasid));
}

FIXTURE_TEARDOWN(vtd_late)
{
	guest_close(&self->g);
}

/*
 * An unmap and an unbind cannot fail, and nobody comes back to do the rest: when
 * they return, nothing stale is in use. If the device does not answer, its TLB is
 * taken away from it until its group is attached anew.
 */
TEST_F_TIMEOUT(vtd_late, unmap, 120)
{
	struct requester req = self->req, untranslated = with_flags(req, 0);
	struct testdev *dev = &self->g.dev[0];
	__u32 pasid = req.pasid;

	test_cmd_bind(DEVICE, &self->g.pt, pasid);
	test_reaches(req, VA, self->g.page[0]);

	/* Late, but in time */
	testdev_write(dev, TESTDEV_INV_IGNORE, 2);
	ASSERT_DONE(vmm_unmap_ram(&self->g.vmm));
	EXPECT_EQ(0, testdev_read(dev, TESTDEV_INV_IGNORE));
	test_stopped(req, VA, self->g.page[0]);
	test_stopped(untranslated, VA, self->g.page[0]);
	ASSERT_DONE(vmm_map_ram(&self->g.vmm));
	test_reaches(req, VA, self->g.page[0]);

	testdev_write(dev, TESTDEV_INV_IGNORE, NEVER);
	ASSERT_DONE(vmm_unmap_ram(&self->g.vmm));
	EXPECT_GT(NEVER, testdev_read(dev, TESTDEV_INV_IGNORE));
	test_no_dev_tlb(req, VA, self->g.page[0]);
	test_stopped(untranslated, VA, self->g.page[0]);
	ASSERT_DONE(vmm_map_ram(&self->g.vmm));
	test_reaches(untranslated, VA, self->g.page[0]);
	/* There is none to invalidate */
	test_cmd_inv(DEVICE, inv_pasid(IOTLB | DEV_IOTLB, pasid));

	test_cmd_unbind(DEVICE, pasid);
	test_no_dev_tlb(req, VA, self->g.page[0]);
	test_stopped(untranslated, VA, self->g.page[0]);
}

static int guest_reset(struct guest *g, int n)
{
	if (ioctl(g->vmm.dev[n], VFIO_DEVICE_RESET))
		return -1;
	testdev_stop(&g->dev[n]);
	return testdev_start(&g->dev[n], g->vmm.dev[n]);
}

/* A reset brings ATS back: then there is something to invalidate again. */
TEST_F_TIMEOUT(vtd_late, reset, 120)
{
	struct testdev *dev = &self->g.dev[0];

	test_cmd_bind(DEVICE, &self->g.pt, self->req.pasid);
	test_reaches(self->req, VA, self->g.page[0]);
	testdev_write(dev, TESTDEV_INV_IGNORE, NEVER);
	ASSERT_DONE(vmm_unmap_ram(&self->g.vmm));
	test_no_dev_tlb(self->req, VA, self->g.page[0]);
	ASSERT_DONE(vmm_map_ram(&self->g.vmm));

	ASSERT_DONE(guest_reset(&self->g, 0));
	EXPECT_EQ(0, testdev_read(dev, TESTDEV_INV_IGNORE));
	test_reaches(self->req, VA, self->g.page[0]);
	ASSERT_DONE(vmm_unmap_ram(&self->g.vmm));
	test_stopped(self->req, VA, self->g.page[0]);
	ASSERT_DONE(vmm_map_ram(&self->g.vmm));
	test_reaches(self->req, VA, self->g.page[0]);
	guest_map(&self->g.pt, VA, self->g.page[1]);
	test_cmd_inv(DEVICE, inv_pasid(IOTLB | DEV_IOTLB, self->req.pasid));
	test_reaches(self->req, VA, self->g.page[1]);
}

/* What is bound while ATS is off has something to invalidate when it is on again. */
TEST_F_TIMEOUT(vtd_two, bound_in_between, 120)
{
	struct testdev *dev = &self->g.dev[0];
	__u32 other[2], i;

	for (i = 0; i < 2; i++)
		ASSERT_DONE(guest_pasid(&self->g, &other[i]));
	/* Page requests stay on because of this one */
	test_cmd_bind(DEVICE, &self->g.pt, other[0]);
	test_cmd_bind(DEVICE, &self->g.pt, self->req[0].pasid);
	test_reaches(self->req[0], VA, self->g.page[0]);
	testdev_write(dev, TESTDEV_INV_IGNORE, NEVER);
	test_cmd_unbind(DEVICE, self->req[0].pasid);
	test_no_dev_tlb(self->req[0], VA, self->g.page[0]);
	testdev_write(dev, TESTDEV_INV_IGNORE, 0);

	test_cmd_bind(DEVICE, &self->g.pt, other[1]);
	/* Nor does a new domain of the requests without PASID bring it back */
	test_cmd_bind(DEVICE, &self->g.pt, NO_PASID);
	test_no_dev_tlb(with_pasid(self->req[0], other[1]), VA, self->g.page[0]);
	ASSERT_DONE(guest_reset(&self->g, 0));
	for (i = 0; i < 2; i++) {
		struct requester req = with_pasid(self->req[0], other[i]);

		test_reaches(req, VA, self->g.page[0]);
	}
	ASSERT_DONE(vmm_unmap_ram(&self->g.vmm));
	for (i = 0; i < 2; i++) {
		struct requester req = with_pasid(self->req[0], other[i]);

		test_stopped(req, VA, self->g.page[0]);
	}
	ASSERT_DONE(vmm_map_ram(&self->g.vmm));
}

/* Errors without end would hold up everybody behind the unit. */
TEST_F_TIMEOUT(vtd_late, invalidations, 120)
{
	struct iommu_cache_invalidate_info inv =
		inv_pasid(IOTLB | DEV_IOTLB, self->req.pasid);
	int i;

	test_cmd_bind(DEVICE, &self->g.pt, self->req.pasid);
	test_reaches(self->req, VA, self->g.page[0]);
	testdev_write(&self->g.dev[0], TESTDEV_INV_IGNORE, NEVER);
	for (i = 0; i < 100 && _test_cmd_inv(DEVICE, inv); i++)
		;
	EXPECT_LT(2, i);
	EXPECT_GT(100, i);
	/* Done, since there is no TLB left */
	test_no_dev_tlb(self->req, VA, self->g.page[0]);
	testdev_write(&self->g.dev[0], TESTDEV_INV_IGNORE, 0);
}

TEST_F_TIMEOUT(vtd_late, unbind, 120)
{
	struct requester req = self->req, untranslated = with_flags(req, 0);
	struct testdev *dev = &self->g.dev[0];
	__u32 pasid = req.pasid;

	test_cmd_bind(DEVICE, &self->g.pt, pasid);
	test_reaches(req, VA, self->g.page[0]);
	testdev_write(dev, TESTDEV_INV_IGNORE, NEVER);
	test_cmd_unbind(DEVICE, pasid);
	EXPECT_GT(NEVER, testdev_read(dev, TESTDEV_INV_IGNORE));
	testdev_write(dev, TESTDEV_INV_IGNORE, 0);
	test_no_dev_tlb(req, VA, self->g.page[0]);
	test_stopped(untranslated, VA, self->g.page[0]);

	/* Without its TLB it is not the device any more that was asked about */
	test_err_bind(ENODEV, DEVICE, &self->g.pt, pasid);
	guest_close(&self->g);
	ASSERT_EQ(0, late_open(&self->g, &req, variant->no_pasid));
	untranslated = with_flags(req, 0);
	pasid = req.pasid;

	/* Nothing is left of it for the next table */
	guest_map(&self->g.pt, VA, self->g.page[1]);
	test_cmd_bind(DEVICE, &self->g.pt, pasid);
	test_reaches(req, VA, self->g.page[1]);
	test_reaches(untranslated, VA, self->g.page[1]);
	test_cmd_inv(DEVICE, inv_pasid(IOTLB | DEV_IOTLB, pasid));
}

/* ---------------------------------------------------------------------
 * The unit that the device is behind, which may not nest
 */
FIXTURE(vtd_unit)
{
	struct vmm vmm;
	bool nests;
};

/* ECAP.NEST, as the kernel shows the register */
static int unit_nests(bool *nests)
{
	char path[300], value[32] = {};
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), PCI_SYSFS "%s/iommu/intel-iommu/ecap",
		 testdev_names[0]);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	len = read(fd, value, sizeof(value) - 1);
	close(fd);
	*nests = strtoull(value, NULL, 16) & (1ULL << 26);
	return len > 0 ? 0 : -1;
}

FIXTURE_SETUP(vtd_unit)
{
	if (!nr_dev)
		SKIP(return, "no test device behind an IOMMU");
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_EQ(0, unit_nests(&self->nests));
}

FIXTURE_TEARDOWN(vtd_unit)
{
	vmm_close(&self->vmm);
}

/* Both stages or nothing: a container is not given something that looks like it. */
TEST_F(vtd_unit, nesting)
{
	struct iommu_nesting_info info = { .argsz = sizeof(info) };
	int ret;

	ret = vmm_open_pci(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 0,
			   testdev_names[0]);
	if (self->nests) {
		ASSERT_EQ(0, ret);
		EXPECT_EQ(0, _test_cmd_get_nesting_cap(self->vmm.container,
						       &info));
		return;
	}
	EXPECT_EQ(-1, ret);
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, self->vmm.dev[0]);
	EXPECT_ERRNO(EINVAL, ioctl(self->vmm.container, VFIO_IOMMU_MAP_DMA, 0));
}

/* ---------------------------------------------------------------------
 * What worked before the user API does so still: containers of the old types and
 * iommufd. Containers for nested translation are as good as they, where there are
 * any. Runs on unpatched kernels, too.
 */
FIXTURE(plain)
{
	struct vmm vmm;
	struct testdev dev;
	struct iommufd_ids iommufd;
	/* There is no such container here, as it should be, and nothing to test. */
	bool refused;
};

FIXTURE_VARIANT(plain)
{
	int type;
};

FIXTURE_VARIANT_ADD(plain, type1)
{
	.type = VFIO_TYPE1_IOMMU,
};

FIXTURE_VARIANT_ADD(plain, type1v2)
{
	.type = VFIO_TYPE1v2_IOMMU,
};

FIXTURE_VARIANT_ADD(plain, nesting)
{
	.type = VFIO_TYPE1_NESTING_IOMMU,
};

#ifdef __LP64__
FIXTURE_VARIANT_ADD(plain, iommufd)
{
};
#endif

FIXTURE_SETUP(plain)
{
	bool nests;
	int ret = -1;

	if (!nr_dev)
		SKIP(return, "no test device behind an IOMMU");
	self->iommufd.fd = -1;
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_EQ(0, unit_nests(&nests));
	if (variant->type == VFIO_TYPE1_NESTING_IOMMU &&
	    !(nests && user_api_present())) {
		EXPECT_ERRNO(EINVAL, vmm_open_pci(&self->vmm, variant->type, 0,
						  testdev_names[0]));
		self->refused = true;
		return;
	}
	if (variant->type)
		ret = vmm_open_pci(&self->vmm, variant->type, 0,
				   testdev_names[0]);
	else if (!iommufd_open_pci(&self->vmm, testdev_names[0],
				   &self->iommufd))
		ret = iommufd_attach(&self->vmm, self->iommufd.ioas);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, testdev_start(&self->dev, self->vmm.dev[0]));
}

FIXTURE_TEARDOWN(plain)
{
	testdev_stop(&self->dev);
	vmm_close(&self->vmm);
	close_fd(&self->iommufd.fd);
}

TEST_F(plain, dma_and_msi)
{
	struct requester req = {
		.dev = &self->dev,
		.pasid = NO_PASID,
	};
	__u64 addr = GUEST_RAM + 0x25010, got;
	int i, fd;

	if (self->refused)
		return;
	for (i = 0; i < 2; i++) {
		test_writes_in(&self->vmm, req, addr, addr);
		test_reads_in(&self->vmm, req, addr, addr);
		/* Beyond what is mapped */
		EXPECT_TRUE(is_stopped(device_write(req, GUEST_RAM +
						    GUEST_RAM_SIZE, 1)));
		EXPECT_TRUE(is_stopped(device_read(req, GUEST_RAM - 8, &got)));
		/* No PASID has anything */
		EXPECT_NE(TESTDEV_DONE, device_write(with_pasid(req, 1), addr,
						     1));
		EXPECT_NE(1, guest_read(&self->vmm, addr));
		/* And so by ATS */
		req.flags = TESTDEV_ATS;
	}
	fd = pci_irq_fd(&self->dev.pci, VFIO_PCI_MSIX_IRQ_INDEX);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(testdev_irq_arrives(&self->dev, 0, fd));
	close(fd);
}

/* What is unmapped is out of reach, from the caches as well */
TEST_F(plain, unmap)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = self->iommufd.ioas,
		.iova = GUEST_RAM,
		.length = GUEST_RAM_SIZE,
	};
	struct requester req = {
		.dev = &self->dev,
		.pasid = NO_PASID,
	};
	__u64 addr = GUEST_RAM + 0x25010;

	if (self->refused)
		return;
	test_writes_in(&self->vmm, req, addr, addr);
	test_writes_in(&self->vmm, with_flags(req, TESTDEV_ATS), addr, addr);
	if (variant->type)
		ASSERT_DONE(vmm_unmap_ram(&self->vmm));
	else
		ASSERT_DONE(ioctl(self->iommufd.fd, IOMMU_IOAS_UNMAP, &unmap));
	EXPECT_TRUE(is_stopped(device_write(req, addr, 1)));
	EXPECT_TRUE(is_stopped(device_write(with_flags(req, TESTDEV_ATS), addr,
					    1)));
	EXPECT_NE(1, guest_read(&self->vmm, addr));
}

/*
 * None of the user API is in other containers, nor in iommufd's devices. A kernel
 * that has it refuses its calls there; one that does not has never heard of them.
 */
TEST_F(plain, no_nesting)
{
	struct guest_pt pt = { .vmm = &self->vmm, .levels = 4, .root = GUEST_RAM };
	struct scope container = container_scope(&self->vmm);
	struct scope device = device_scope(&self->vmm, 0);
	int err = user_api_present() ? EOPNOTSUPP : ENOTTY;
	struct iommu_nesting_info info;

	if (self->refused)
		return;
	if (variant->type == VFIO_TYPE1_NESTING_IOMMU) {
		/* Here it is, and finds nothing that is bound. */
		ASSERT_DONE(_test_cmd_get_nesting_cap(container.fd, &info));
		test_err_unbind(ENOENT, container, NO_PASID);
		test_err_unbind(ENOENT, device, NO_PASID);
		return;
	}
	if (variant->type) {
		EXPECT_ERRNO(ENOENT, _test_cmd_get_nesting_cap(container.fd,
							       &info));
		test_err_pasid_alloc(err, container.fd, 1, 100);
		test_err_bind(err, container, &pt, NO_PASID);
		test_err_unbind(err, container, NO_PASID);
		test_err_inv(err, container, inv_domain(IOTLB));
	}
	test_err_bind(ENOTTY, device, &pt, NO_PASID);
	test_err_unbind(ENOTTY, device, NO_PASID);
	test_err_inv(ENOTTY, device, inv_domain(IOTLB));
	EXPECT_ERRNO(ENOTTY, fault_open(device.fd));
}

#ifdef __LP64__
/* A device that knows nothing of PASIDs, on conventional PCI */
TEST_F(plain, edu)
{
	__u64 from = GUEST_RAM + 0x3008, to = GUEST_RAM + 0x25010;
	__u64 value = fresh_value();
	struct pci_dev edu;
	int fd, ret;

	if (self->refused)
		return;
	if (!edu_count)
		SKIP(return, "no edu device");
	if (variant->type)
		ret = vmm_add_pci(&self->vmm, 0, 1, edu_names[0]);
	else
		ret = iommufd_add_pci(&self->vmm, 1, edu_names[0],
				      &self->iommufd);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, edu_start(&edu, self->vmm.dev[1]));
	guest_write(&self->vmm, from, value);
	ASSERT_EQ(0, edu_dma(&edu, false, from, 0, 8));
	ASSERT_EQ(0, edu_dma(&edu, true, to, 0, 8));
	EXPECT_EQ(value, guest_read(&self->vmm, to));
	fd = pci_irq_fd(&edu, VFIO_PCI_MSI_IRQ_INDEX);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(edu_irq_arrives(&edu, fd));
	close(fd);
	pci_stop(&edu);
}
#endif

/* ---------------------------------------------------------------------
 * The kernel's own nested domains, on the same hardware: that they are nested in
 * the same way says something of the emulator. Runs on unpatched kernels, too.
 */
#ifdef __LP64__
FIXTURE(iommufd_nested)
{
	/* For its memory, table and device; there is no container */
	struct guest g;
	struct iommufd_ids iommufd;
	struct requester req;
	__u32 parent, nested;
};

static int nested_alloc(struct iommufd_ids *ids, __u32 parent, __u64 root,
			__u32 *nested)
{
	struct iommu_hwpt_vtd_s1 s1 = {
		.addr_width = 48,
		.pgtbl_addr = root,
	};
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc),
		.dev_id = ids->dev,
		.pt_id = parent,
		.data_type = IOMMU_HWPT_DATA_VTD_S1,
		.data_len = sizeof(s1),
		.data_uptr = (uintptr_t)&s1,
	};

	if (ioctl(ids->fd, IOMMU_HWPT_ALLOC, &alloc))
		return -1;
	*nested = alloc.out_hwpt_id;
	return 0;
}

FIXTURE_SETUP(iommufd_nested)
{
	struct iommu_hwpt_alloc parent = {
		.size = sizeof(parent),
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
	};
	struct guest *g = &self->g;

	if (!nr_dev)
		SKIP(return, "no test device behind an IOMMU");
	self->iommufd.fd = -1;
	ASSERT_EQ(0, vmm_init(&g->vmm));
	ASSERT_EQ(0, iommufd_open_pci(&g->vmm, testdev_names[0],
				      &self->iommufd));
	guest_pt_init(&g->pt, &g->vmm, GUEST_PT_VTD, 4);
	g->page[0] = guest_page(&g->vmm);
	g->page[1] = guest_page(&g->vmm);
	guest_map(&g->pt, VA, g->page[0]);
	parent.dev_id = self->iommufd.dev;
	parent.pt_id = self->iommufd.ioas;
	ASSERT_DONE(ioctl(self->iommufd.fd, IOMMU_HWPT_ALLOC, &parent));
	self->parent = parent.out_hwpt_id;
	ASSERT_DONE(nested_alloc(&self->iommufd, self->parent, g->pt.root,
				 &self->nested));
	ASSERT_DONE(iommufd_attach(&g->vmm, self->nested));
	ASSERT_EQ(0, testdev_start(&g->dev[0], g->vmm.dev[0]));
	self->req = requester(g, 0, NO_PASID, 0);
}

FIXTURE_TEARDOWN(iommufd_nested)
{
	guest_close(&self->g);
	close_fd(&self->iommufd.fd);
}

static int nested_inv(struct iommufd_ids *ids, __u32 nested, __u64 addr,
		      __u64 npages, __u32 flags)
{
	struct iommu_hwpt_vtd_s1_invalidate entry = {
		.addr = addr,
		.npages = npages,
		.flags = flags,
	};
	struct iommu_hwpt_invalidate inv = {
		.size = sizeof(inv),
		.hwpt_id = nested,
		.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1,
		.data_uptr = (uintptr_t)&entry,
		.entry_len = sizeof(entry),
		.entry_num = 1,
	};

	return ioctl(ids->fd, IOMMU_HWPT_INVALIDATE, &inv);
}

TEST_F(iommufd_nested, translate)
{
	__u64 *page = self->g.page;

	test_reaches(self->req, VA, page[0]);
	test_stopped(self->req, page[1], page[1]);
	test_stopped(self->req, VA2, page[1]);
	guest_map_level(&self->g.pt, VA2, page[1], VTD_RO, 1);
	test_reads(self->req, VA2, page[1]);
	test_writes_not(self->req, VA2, page[1]);
	guest_map_level(&self->g.pt, VA2 + SZ_4K, page[1], VTD_RW & ~VTD_U, 1);
	test_stopped(self->req, VA2 + SZ_4K, page[1]);
	guest_map_level(&self->g.pt, VA_HIGH & ~(SZ_2M - 1), GUEST_BIG_PAGE,
			VTD_RW, 2);
	test_reaches(self->req, (VA_HIGH & ~(SZ_2M - 1)) + SZ_4K,
		     GUEST_BIG_PAGE + SZ_4K);
	EXPECT_EQ(VTD_A | VTD_D, entry_bits(&self->g, VA, 1));

	/* Stage 2 alone, and back */
	ASSERT_DONE(iommufd_attach(&self->g.vmm, self->parent));
	test_reaches_raw(0, page[1]);
	test_stopped(self->req, VA, page[0]);
	ASSERT_DONE(iommufd_attach(&self->g.vmm, self->nested));
	test_reaches(self->req, VA, page[0]);
}

TEST_F(iommufd_nested, invalidate)
{
	static const struct {
		__u64 addr, npages;
		__u32 flags;
		bool enough;
	} invs[] = {
		{ VA, 1, 0, true },
		{ VA, 1, IOMMU_VTD_INV_FLAGS_LEAF, true },
		{ VA - 3 * SZ_4K, 7, 0, true },
		{ VA, 512, 0, true },
		{ VA - SZ_2M, 1024, 0, true },
		{ 0, UINT64_MAX, 0, true },
		{ VA + SZ_4K, 1, 0, false },
		{ VA - 4 * SZ_4K, 4, 0, false },
	};
	int from = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(invs); i++) {
		test_writes(self->req, VA, self->g.page[from]);
		guest_map(&self->g.pt, VA, self->g.page[!from]);
		test_writes(self->req, VA, self->g.page[from]);
		ASSERT_DONE(nested_inv(&self->iommufd, self->nested,
				       invs[i].addr, invs[i].npages,
				       invs[i].flags));
		test_writes(self->req, VA, self->g.page[from ^ invs[i].enough]);
		ASSERT_DONE(nested_inv(&self->iommufd, self->nested, 0,
				       UINT64_MAX, 0));
		from = !from;
		ASSERT_EQ(0, _metadata->exit_code) {
			TH_LOG("invalidation %zu", i);
		}
	}
}

TEST_F(iommufd_nested, stage2_unmap)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = self->iommufd.ioas,
		.iova = GUEST_RAM,
		.length = GUEST_RAM_SIZE,
	};

	test_reaches(self->req, VA, self->g.page[0]);
	ASSERT_DONE(ioctl(self->iommufd.fd, IOMMU_IOAS_UNMAP, &unmap));
	test_stopped(self->req, VA, self->g.page[0]);
}

/*
 * From here on, what was wrong before the user API: a range that is longer than
 * what the hardware takes at once, and ATS, which was off in nested domains.
 */
TEST_F(iommufd_nested, long_range)
{
	const __u64 begin = VA - 3 * SZ_1G;

	test_writes(self->req, VA, self->g.page[0]);
	guest_map(&self->g.pt, VA, self->g.page[1]);
	ASSERT_DONE(nested_inv(&self->iommufd, self->nested, begin,
			       4 * SZ_1G / SZ_4K, 0));
	test_writes(self->req, VA, self->g.page[1]);
	/* And the queue goes on */
	guest_map(&self->g.pt, VA, self->g.page[0]);
	ASSERT_DONE(nested_inv(&self->iommufd, self->nested, VA, 1, 0));
	test_reaches(self->req, VA, self->g.page[0]);
}

TEST_F(iommufd_nested, ats)
{
	struct requester ats = with_flags(self->req, TESTDEV_ATS);
	int i;

	for (i = 0; i < 2; i++) {
		test_reaches(ats, VA, self->g.page[0]);
		test_stopped(ats, self->g.page[1], self->g.page[1]);
		guest_map(&self->g.pt, VA, self->g.page[1]);
		test_writes(ats, VA, self->g.page[0]);
		ASSERT_DONE(nested_inv(&self->iommufd, self->nested, VA, 1, 0));
		test_reaches(ats, VA, self->g.page[1]);

		ASSERT_DONE(iommufd_attach(&self->g.vmm, self->parent));
		test_stopped(ats, VA, self->g.page[1]);
		test_reaches(ats, self->g.page[1], self->g.page[1]);
		guest_map(&self->g.pt, VA, self->g.page[0]);
		ASSERT_DONE(iommufd_attach(&self->g.vmm, self->nested));
	}
}
#endif

TEST_HARNESS_MAIN
