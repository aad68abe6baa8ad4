// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: nested translation by an emulated SMMUv3, that of QEMU, with
 * real DMA of its "edu" devices. Nothing of the IOMMU is the kernel's own here:
 * stale entries are stale because QEMU caches them.
 *
 * Skipped on machines without such devices behind an SMMUv3. See the head of
 * iommu_uapi_edu.h for the command line.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "iommu_uapi_utils.h"
#include "iommu_uapi_edu.h"

#define SZ_64K		0x10000ULL
#define TYPE		VFIO_TYPE1_NESTING_IOMMU
#define IOTLB		IOMMU_CACHE_INV_TYPE_IOTLB
#define CD_CACHE	IOMMU_CACHE_INV_TYPE_PASID
#define DEV_IOTLB	IOMMU_CACHE_INV_TYPE_DEV_IOTLB

/* Guest virtual addresses */
#define VA_SCRATCH	0x10000000ULL
#define VA		0x20000000ULL
#define VA2		0x30000000ULL

/* Where the host maps the doorbell of MSIs: a reserved region of the device */
#define MSI_WINDOW	0x08000000ULL
#define MSI_WINDOW_SIZE	0x100000ULL

/* SMMUv3 architecture, section 5.4: first words of a context descriptor */
#define CD_T0SZ(n)	((__u64)(n))
#define CD_TG0_4K	(0ULL << 6)
#define CD_TG0_64K	(1ULL << 6)
#define CD_TG0_16K	(2ULL << 6)
#define CD_IR0_WBWA	(1ULL << 8)
#define CD_OR0_WBWA	(1ULL << 10)
#define CD_SH0_IS	(3ULL << 12)
#define CD_EPD1		(1ULL << 30)
#define CD_V		(1ULL << 31)
#define CD_IPS(n)	((__u64)(n) << 32)
#define CD_AA64		(1ULL << 41)
#define CD_R		(1ULL << 45)
#define CD_A		(1ULL << 46)
#define CD_ASET		(1ULL << 47)
#define CD_ASID(n)	((__u64)(n) << 48)

/* SMMU_IDR5 */
#define IDR5_GRAN64K	(1 << 6)
#define IDR5_GRAN16K	(1 << 5)
#define IDR5_GRAN4K	(1 << 4)
#define IDR5_OAS	7

#define ARM_ADDR	0x0000fffffffff000ULL

static int nr_edu;
/* A device that is not made for tests: QEMU's NVMe controller, if there is one */
static char nvme_name[1][32];
static bool has_nvme;

static __attribute__((constructor)) void find_devices(void)
{
	nr_edu = edu_find();
	has_nvme = pci_list("0x0010", nvme_name, 1) &&
		   !pci_to_vfio(nvme_name[0]) && pci_group(nvme_name[0]) >= 0;
}

/* ---------------------------------------------------------------------
 * The guest's tables, of any granule
 */
struct s1 {
	struct vmm *vmm;
	unsigned int shift;	/* of the granule */
	unsigned int va_bits;
	__u64 root;
	__u64 cd;
	__u16 asid;
};

static __u64 s1_alloc(struct vmm *vmm, __u64 size)
{
	__u64 gpa;

	vmm->ram_used = (vmm->ram_used + size - 1) & ~(size - 1);
	gpa = GUEST_RAM + vmm->ram_used;
	if (vmm->ram_used + size > GUEST_RAM_SIZE)
		abort();
	vmm->ram_used += size;
	memset(guest_ptr(vmm, gpa), 0, size);
	return gpa;
}

static __u64 s1_level_size(const struct s1 *s1, unsigned int level)
{
	return 1ULL << (s1->shift + level * (s1->shift - 3));
}

/* Guest-physical address of the entry for @va in @level (0: pages) */
static __u64 s1_entry(struct s1 *s1, __u64 va, unsigned int level)
{
	unsigned int l = (s1->va_bits - s1->shift - 1) / (s1->shift - 3);
	__u64 table = s1->root;

	for (;; l--) {
		__u64 index = va / s1_level_size(s1, l) %
			      (1ULL << (s1->shift - 3));
		__u64 gpa = table + index * 8;
		__u64 entry = guest_read(s1->vmm, gpa);

		if (l == level)
			return gpa;
		if (!(entry & ARM_VALID)) {
			entry = s1_alloc(s1->vmm, 1ULL << s1->shift) |
				ARM_VALID | ARM_TABLE;
			guest_write(s1->vmm, gpa, entry);
		}
		table = entry & ARM_ADDR & ~((1ULL << s1->shift) - 1);
	}
}

static void s1_map_level(struct s1 *s1, __u64 va, __u64 gpa, __u64 bits,
			 unsigned int level)
{
	guest_write(s1->vmm, s1_entry(s1, va, level),
		    gpa | bits | (level ? 0 : ARM_TABLE));
}

static void s1_map(struct s1 *s1, __u64 va, __u64 gpa)
{
	s1_map_level(s1, va, gpa, ARM_RW, 0);
}

static void s1_write_cd(struct s1 *s1)
{
	static const __u64 tg0[] = {
		[12] = CD_TG0_4K, [14] = CD_TG0_16K, [16] = CD_TG0_64K,
	};
	__u64 cd = CD_T0SZ(64 - s1->va_bits) | tg0[s1->shift] | CD_IR0_WBWA |
		   CD_OR0_WBWA | CD_SH0_IS | CD_EPD1 | CD_V | CD_IPS(4) |
		   CD_AA64 | CD_R | CD_A | CD_ASET | CD_ASID(s1->asid);

	guest_write(s1->vmm, s1->cd + 8, s1->root);
	guest_write(s1->vmm, s1->cd + 24, 0xff);
	guest_write(s1->vmm, s1->cd, cd);
}

static void s1_init(struct s1 *s1, struct vmm *vmm, unsigned int shift,
		    unsigned int va_bits, __u16 asid)
{
	s1->vmm = vmm;
	s1->shift = shift;
	s1->va_bits = va_bits;
	s1->asid = asid;
	s1->root = s1_alloc(vmm, 1ULL << shift);
	s1->cd = s1_alloc(vmm, 64);
	s1_write_cd(s1);
}

static struct iommu_pasid_table_config s1_config(const struct s1 *s1)
{
	return table_config(IOMMU_PASID_CONFIG_TRANSLATE, s1->cd, 0);
}

/* ---------------------------------------------------------------------
 * A guest with one container and some devices
 */
struct guest {
	struct vmm vmm;
	struct pci_dev edu[EDU_MAX];
	/* Page through which values go to and from the devices' buffers */
	__u64 scratch;
};

static int guest_add_name(struct guest *g, int n, bool first, const char *name,
			  size_t bar_size)
{
	if (vmm_add_pci(&g->vmm, first ? TYPE : 0, n, name))
		return -1;
	return pci_start(&g->edu[n], g->vmm.dev[n], bar_size);
}

static int guest_add(struct guest *g, int n, bool first)
{
	return guest_add_name(g, n, first, edu_names[n], EDU_BAR_SIZE);
}

/*
 * QEMU (10.0) aligns the address of a root table to the granule after stage 2 has
 * translated it, which is too late unless stage 2 keeps the alignment.
 */
static int guest_ram_in_one_piece(struct vmm *vmm)
{
	munmap(vmm->ram, GUEST_RAM_SIZE);
	vmm->ram = mmap(NULL, SZ_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	return vmm->ram == MAP_FAILED ? -1 : 0;
}

/* Device @n comes first into a new container; @shift of the granule */
static int guest_open_shift(struct guest *g, int n, unsigned int shift)
{
	memset(g, 0, sizeof(*g));
	if (vmm_init(&g->vmm) ||
	    (shift > 12 && guest_ram_in_one_piece(&g->vmm)))
		return -1;
	g->vmm.container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (g->vmm.container < 0 || guest_add(g, n, true) ||
	    vmm_map_ram(&g->vmm))
		return -1;
	g->scratch = s1_alloc(&g->vmm, SZ_64K);
	return 0;
}

static int guest_open(struct guest *g, int n)
{
	return guest_open_shift(g, n, 12);
}

static void guest_close(struct guest *g)
{
	int i;

	for (i = 0; i < EDU_MAX; i++)
		pci_stop(&g->edu[i]);
	vmm_close(&g->vmm);
}

/* A table that maps the scratch page */
static void guest_s1(struct guest *g, struct s1 *s1, unsigned int shift,
		     unsigned int va_bits, __u16 asid)
{
	s1_init(s1, &g->vmm, shift, va_bits, asid);
	s1_map(s1, VA_SCRATCH, g->scratch);
}

/* The device writes a value at @addr; it has it from bus address @scratch */
static __u64 device_write(struct guest *g, int n, __u64 scratch, __u64 addr)
{
	__u64 value = fresh_value();

	guest_write(&g->vmm, g->scratch, value);
	if (edu_dma(&g->edu[n], false, scratch, 0, 8) ||
	    edu_dma(&g->edu[n], true, addr, 0, 8))
		return 0;
	return value;
}

/* What the device reads at @addr */
static __u64 device_read(struct guest *g, int n, __u64 scratch, __u64 addr)
{
	guest_write(&g->vmm, g->scratch, 0);
	if (edu_dma(&g->edu[n], false, addr, 8, 8) ||
	    edu_dma(&g->edu[n], true, scratch, 8, 8))
		return 0;
	return guest_read(&g->vmm, g->scratch);
}

static bool device_writes(struct guest *g, int n, __u64 scratch, __u64 addr,
			  __u64 gpa)
{
	__u64 value = device_write(g, n, scratch, addr);

	return value && guest_read(&g->vmm, gpa) == value;
}

static bool device_reads(struct guest *g, int n, __u64 scratch, __u64 addr,
			 __u64 gpa)
{
	__u64 value = fresh_value();

	guest_write(&g->vmm, gpa, value);
	return device_read(g, n, scratch, addr) == value;
}

/* Have a device do DMA that nobody has opened: only its IOMMU is in the way. */
static int edu_start_bare(struct pci_dev *edu, const char *name)
{
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, is = 0;
	char path[300];
	int fd, ret;

	snprintf(path, sizeof(path), PCI_SYSFS "%s/config", name);
	fd = open(path, O_RDWR);
	if (fd < 0)
		return -1;
	ret = pwrite(fd, &command, sizeof(command), PCI_COMMAND) ==
	      sizeof(command) &&
	      pread(fd, &is, sizeof(is), PCI_COMMAND) == sizeof(is) &&
	      (is & command) == command ? 0 : -1;
	close(fd);
	if (ret)
		return -1;

	snprintf(path, sizeof(path), PCI_SYSFS "%s/resource0", name);
	fd = open(path, O_RDWR);
	if (fd < 0)
		return -1;
	edu->bar_size = EDU_BAR_SIZE;
	edu->bar = mmap(NULL, EDU_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			fd, 0);
	close(fd);
	if (edu->bar == MAP_FAILED)
		edu->bar = NULL;
	return edu->bar ? 0 : -1;
}

/* Where the machine has a page of ours; 0 if it does not tell */
static __u64 host_physical(void *page)
{
	__u64 entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (pread(fd, &entry, sizeof(entry), (uintptr_t)page / SZ_4K *
		  sizeof(entry)) != sizeof(entry))
		entry = 0;
	close(fd);
	/* Present, and the page frame number */
	return entry >> 63 ? (entry & ((1ULL << 55) - 1)) * SZ_4K : 0;
}

/* Does the device reach a page that a guest has at @gpa: by any of its addresses? */
static bool device_hits_page(struct pci_dev *edu, volatile __u64 *page, __u64 gpa)
{
	__u64 addr[] = { VA, gpa, host_physical((void *)page) };
	__u64 value = fresh_value();
	size_t i;

	*page = value;
	for (i = 0; i < sizeof(addr) / sizeof(*addr); i++)
		if (edu_dma(edu, true, addr[i], 0, 8) || *page != value)
			return true;
	return false;
}

static bool device_hits(struct guest *g, struct pci_dev *edu, __u64 page)
{
	return device_hits_page(edu, guest_ptr(&g->vmm, page), page);
}

/* "Device @n reaches guest memory @gpa by @va", through its stage 1 */
#define test_reaches(g, n, va, gpa)					\
	({								\
		EXPECT_TRUE(device_writes(g, n, VA_SCRATCH, va, gpa));	\
		EXPECT_TRUE(device_reads(g, n, VA_SCRATCH, va, gpa));	\
	})
#define test_reaches_not(g, n, va, gpa)					\
	({								\
		EXPECT_FALSE(device_writes(g, n, VA_SCRATCH, va, gpa));	\
		EXPECT_FALSE(device_reads(g, n, VA_SCRATCH, va, gpa));	\
	})
/* One direction, where a test needs only the answer */
#define test_writes(g, n, va, gpa)					\
	EXPECT_TRUE(device_writes(g, n, VA_SCRATCH, va, gpa))
#define test_writes_not(g, n, va, gpa)					\
	EXPECT_FALSE(device_writes(g, n, VA_SCRATCH, va, gpa))
/* By stage 2 alone */
#define test_writes_raw(g, n, gpa)					\
	EXPECT_TRUE(device_writes(g, n, (g)->scratch, gpa, gpa))

static struct iommu_cache_invalidate_info inv_asid(__u8 cache, __u32 asid)
{
	struct iommu_cache_invalidate_info inv = inv_pasid(cache, 0);

	inv.granu.pasid_info.flags = IOMMU_INV_PASID_FLAGS_ARCHID;
	inv.granu.pasid_info.archid = asid;
	return inv;
}

#define ANY_ASID	(~0U)

static struct iommu_cache_invalidate_info inv_va(__u32 asid, __u64 va,
						 __u64 granule, __u64 nr)
{
	struct iommu_cache_invalidate_info inv = inv_addr(IOTLB, 0, va, granule,
							  nr);

	inv.granu.addr_info.flags = 0;
	if (asid != ANY_ASID) {
		inv.granu.addr_info.flags = IOMMU_INV_ADDR_FLAGS_ARCHID;
		inv.granu.addr_info.archid = asid;
	}
	return inv;
}

static bool smmu_has(struct guest *g, int n, int idr, __u32 bits)
{
	struct iommu_nesting_info info = { .argsz = sizeof(info) };

	return !_test_cmd_get_device_info(g->vmm.dev[n], &info, sizeof(info)) &&
	       (info.vendor.smmuv3.idr[idr] & bits) == bits;
}

FIXTURE(smmuv3)
{
	struct guest g;
	struct s1 s1;
	__u64 page[2];
};

FIXTURE_SETUP(smmuv3)
{
	if (!nr_edu)
		SKIP(return, "no edu device behind an IOMMU");
	ASSERT_EQ(0, guest_open(&self->g, 0));
	guest_s1(&self->g, &self->s1, 12, 39, 5);
	self->page[0] = s1_alloc(&self->g.vmm, SZ_64K);
	self->page[1] = s1_alloc(&self->g.vmm, SZ_64K);
	s1_map(&self->s1, VA, self->page[0]);
}

FIXTURE_TEARDOWN(smmuv3)
{
	guest_close(&self->g);
}

#define DEVICE	device_scope(&self->g.vmm, 0)
#define CONTAINER	container_scope(&self->g.vmm)
#define bind_s1()	test_cmd_bind_table(DEVICE, s1_config(&self->s1))

TEST_F(smmuv3, info)
{
	struct iommu_nesting_info info, cap;
	__u32 features = IOMMU_NESTING_FEAT_BIND_PASID_TABLE |
			 IOMMU_NESTING_FEAT_CACHE_INVLD;

	memset(&info, 0, sizeof(info));
	info.argsz = sizeof(info);
	ASSERT_DONE(_test_cmd_get_device_info(self->g.vmm.dev[0], &info,
					      sizeof(info)));
	ASSERT_DONE(_test_cmd_get_nesting_cap(self->g.vmm.container, &cap));
	EXPECT_EQ(0, memcmp(&info, &cap, sizeof(info)));

	EXPECT_EQ(IOMMU_PASID_FORMAT_ARM_SMMUV3, info.format);
	EXPECT_EQ(features, info.features);
	EXPECT_LE(48, info.addr_width);
	EXPECT_EQ(0, info.pasid_bits);
	EXPECT_EQ(7, info.caches);
	EXPECT_EQ(7, info.granularities);
	EXPECT_EQ(IOMMU_NESTING_INFO_SMMUV3_VALID, info.vendor.smmuv3.flags);
	/* S1P without S2P, coherent, no stalls, no ATS, PRI, MSI, SEV, BTM */
	EXPECT_EQ(0x2, info.vendor.smmuv3.idr[0] & 0x3);
	EXPECT_EQ(0x10, info.vendor.smmuv3.idr[0] & 0x30);
	EXPECT_EQ(0x01000000, info.vendor.smmuv3.idr[0] & 0x03000000);
	EXPECT_EQ(0, info.vendor.smmuv3.idr[0] & 0x0017e700);
	EXPECT_EQ(0, info.vendor.smmuv3.idr[1]);
	EXPECT_NE(0, info.vendor.smmuv3.idr[5] & IDR5_GRAN4K);
	TH_LOG("IDR0..5 %08x %08x %08x %08x %08x %08x AIDR %x",
	       info.vendor.smmuv3.idr[0], info.vendor.smmuv3.idr[1],
	       info.vendor.smmuv3.idr[2], info.vendor.smmuv3.idr[3],
	       info.vendor.smmuv3.idr[4], info.vendor.smmuv3.idr[5],
	       info.vendor.smmuv3.aidr);
}

/* VA -> IPA -> PA, both directions, and no other way */
TEST_F(smmuv3, translate)
{
	test_writes_raw(&self->g, 0, self->page[1]);
	bind_s1();
	test_reaches(&self->g, 0, VA, self->page[0]);
	/* Guest-physical addresses are none of the guest's virtual ones */
	test_writes_not(&self->g, 0, self->page[1], self->page[1]);
	test_reaches_not(&self->g, 0, VA2, self->page[1]);

	test_cmd_unbind_table(DEVICE);
	test_writes_raw(&self->g, 0, self->page[1]);
	EXPECT_FALSE(device_writes(&self->g, 0, self->g.scratch, VA,
				   self->page[0]));
	test_err_unbind_table(ENOENT, DEVICE);

	/* Again, by the container this time */
	test_cmd_bind_table(CONTAINER, s1_config(&self->s1));
	test_reaches(&self->g, 0, VA, self->page[0]);
	test_cmd_unbind_table(CONTAINER);
	test_writes_raw(&self->g, 0, self->page[1]);
}

TEST_F(smmuv3, permission)
{
	bind_s1();
	s1_map_level(&self->s1, VA, self->page[0], ARM_RO, 0);
	test_writes_not(&self->g, 0, VA, self->page[0]);
	EXPECT_TRUE(device_reads(&self->g, 0, VA_SCRATCH, VA, self->page[0]));
}

TEST_F(smmuv3, configs)
{
	struct iommu_pasid_table_config bypass =
		table_config(IOMMU_PASID_CONFIG_BYPASS, 0, 0);
	struct iommu_pasid_table_config abort =
		table_config(IOMMU_PASID_CONFIG_ABORT, 0, 0);
	struct s1 other;

	test_cmd_bind_table(DEVICE, bypass);
	test_writes_raw(&self->g, 0, self->page[1]);
	test_cmd_bind_table(DEVICE, abort);
	EXPECT_FALSE(device_hits(&self->g, &self->g.edu[0], self->page[1]));
	bind_s1();
	test_writes(&self->g, 0, VA, self->page[0]);

	/* Another table in its place, for the same ASID */
	guest_s1(&self->g, &other, 12, 48, self->s1.asid);
	s1_map(&other, VA, self->page[1]);
	test_cmd_bind_table(DEVICE, s1_config(&other));
	test_reaches(&self->g, 0, VA, self->page[1]);
	test_cmd_bind_table(DEVICE, bypass);
	test_writes_raw(&self->g, 0, self->page[1]);
	test_cmd_bind_table(DEVICE, abort);
	test_cmd_unbind_table(DEVICE);
	test_writes_raw(&self->g, 0, self->page[1]);
}

/* The same ASID, another table: nothing of the first binding is left */
TEST_F(smmuv3, rebind)
{
	struct s1 other;

	bind_s1();
	test_writes(&self->g, 0, VA, self->page[0]);
	test_cmd_unbind_table(DEVICE);
	guest_s1(&self->g, &other, 12, 39, self->s1.asid);
	s1_map(&other, VA, self->page[1]);
	test_cmd_bind_table(DEVICE, s1_config(&other));
	test_reaches(&self->g, 0, VA, self->page[1]);
}

FIXTURE(smmuv3_inv)
{
	struct guest g;
	struct s1 s1;
	__u64 page[2];
};

FIXTURE_VARIANT(smmuv3_inv)
{
	struct iommu_cache_invalidate_info (*make)(void);
	bool enough;
};

#define INV_VARIANT(name, call, is_enough)				\
	static struct iommu_cache_invalidate_info make_##name(void)	\
	{								\
		return call;						\
	}								\
	FIXTURE_VARIANT_ADD(smmuv3_inv, name)				\
	{								\
		.make = make_##name,					\
		.enough = is_enough,					\
	}

static struct iommu_cache_invalidate_info
with_flags(struct iommu_cache_invalidate_info inv, __u32 flags)
{
	inv.granu.addr_info.flags |= flags;
	return inv;
}

INV_VARIANT(domain, inv_domain(IOTLB), true);
INV_VARIANT(asid, inv_asid(IOTLB, 5), true);
INV_VARIANT(no_pasid, inv_pasid(IOTLB, NO_PASID), true);
INV_VARIANT(va, inv_va(5, VA, SZ_4K, 1), true);
INV_VARIANT(va_leaf, with_flags(inv_va(5, VA, SZ_4K, 1),
				IOMMU_INV_ADDR_FLAGS_LEAF), true);
INV_VARIANT(va_any_asid, inv_va(ANY_ASID, VA, SZ_4K, 1), true);
INV_VARIANT(va_no_pasid, inv_addr(IOTLB, NO_PASID, VA, SZ_4K, 1), true);
INV_VARIANT(va_range, inv_va(5, VA - 16 * SZ_4K, SZ_4K, 33), true);
INV_VARIANT(va_range_begin, inv_va(5, VA, SZ_4K, 17), true);
INV_VARIANT(va_range_end, inv_va(5, VA - 16 * SZ_4K, SZ_4K, 17), true);
INV_VARIANT(va_big_granule, inv_va(5, VA, SZ_2M, 1), true);
INV_VARIANT(va_1g_granule, inv_va(5, 0, SZ_1G, 1), true);
INV_VARIANT(va_huge, inv_va(5, 0, SZ_4K, 1ULL << 51), true);
INV_VARIANT(va_all, inv_va(5, 0, 1ULL << 63, 1), true);
INV_VARIANT(all_caches, inv_pasid(IOTLB | CD_CACHE | DEV_IOTLB, NO_PASID), true);
INV_VARIANT(other_asid, inv_asid(IOTLB, 6), false);
INV_VARIANT(va_other_asid, inv_va(6, VA, SZ_4K, 1), false);
/* Neighbours within 64 KiB may go too: the guest's granule might be that large */
INV_VARIANT(va_before, inv_va(5, VA - SZ_64K, SZ_4K, 4), false);
INV_VARIANT(va_after, inv_va(5, VA + SZ_64K, SZ_4K, 4), false);
INV_VARIANT(va_top, inv_va(5, ~0ULL << 12, SZ_4K, 1), false);
INV_VARIANT(device_tlb, inv_pasid(DEV_IOTLB, NO_PASID), false);

FIXTURE_SETUP(smmuv3_inv)
{
	if (!nr_edu)
		SKIP(return, "no edu device behind an IOMMU");
	ASSERT_EQ(0, guest_open(&self->g, 0));
	guest_s1(&self->g, &self->s1, 12, 39, 5);
	self->page[0] = s1_alloc(&self->g.vmm, SZ_4K);
	self->page[1] = s1_alloc(&self->g.vmm, SZ_4K);
	s1_map(&self->s1, VA, self->page[0]);
}

FIXTURE_TEARDOWN(smmuv3_inv)
{
	guest_close(&self->g);
}

TEST_F(smmuv3_inv, stale)
{
	bind_s1();
	test_writes(&self->g, 0, VA, self->page[0]);
	s1_map(&self->s1, VA, self->page[1]);
	/* Nobody has told the hardware */
	test_writes(&self->g, 0, VA, self->page[0]);
	test_cmd_inv(DEVICE, variant->make());
	if (variant->enough)
		test_reaches(&self->g, 0, VA, self->page[1]);
	else
		test_writes(&self->g, 0, VA, self->page[0]);
}

/* Blocks of each granule, changed and invalidated as blocks */
FIXTURE(smmuv3_granule)
{
	struct guest g;
	struct s1 s1;
};

FIXTURE_VARIANT(smmuv3_granule)
{
	unsigned int shift;
	unsigned int va_bits;
	unsigned int level;
	__u32 idr5;
};

FIXTURE_VARIANT_ADD(smmuv3_granule, 4k_48bit)
{
	.shift = 12, .va_bits = 48, .idr5 = IDR5_GRAN4K,
};

FIXTURE_VARIANT_ADD(smmuv3_granule, 4k_2m)
{
	.shift = 12, .va_bits = 39, .level = 1, .idr5 = IDR5_GRAN4K,
};

FIXTURE_VARIANT_ADD(smmuv3_granule, 4k_1g)
{
	.shift = 12, .va_bits = 39, .level = 2, .idr5 = IDR5_GRAN4K,
};

FIXTURE_VARIANT_ADD(smmuv3_granule, 16k)
{
	.shift = 14, .va_bits = 36, .idr5 = IDR5_GRAN16K,
};

FIXTURE_VARIANT_ADD(smmuv3_granule, 16k_32m)
{
	.shift = 14, .va_bits = 47, .level = 1, .idr5 = IDR5_GRAN16K,
};

FIXTURE_VARIANT_ADD(smmuv3_granule, 64k)
{
	.shift = 16, .va_bits = 42, .idr5 = IDR5_GRAN64K,
};

FIXTURE_VARIANT_ADD(smmuv3_granule, 64k_512m)
{
	.shift = 16, .va_bits = 42, .level = 1, .idr5 = IDR5_GRAN64K,
};

FIXTURE_SETUP(smmuv3_granule)
{
	if (!nr_edu)
		SKIP(return, "no edu device behind an IOMMU");
	ASSERT_EQ(0, guest_open_shift(&self->g, 0, variant->shift));
	if (!smmu_has(&self->g, 0, 5, variant->idr5))
		SKIP(return, "the SMMU has no such granule");
	guest_s1(&self->g, &self->s1, variant->shift, variant->va_bits, 9);
}

FIXTURE_TEARDOWN(smmuv3_granule)
{
	guest_close(&self->g);
}

TEST_F(smmuv3_granule, reach_and_change)
{
	__u64 size = s1_level_size(&self->s1, variant->level);
	/* The part of a block that is guest memory is at its beginning */
	__u64 page = variant->level ? GUEST_BIG_PAGE :
				      s1_alloc(&self->g.vmm, size);
	__u64 va = 4 * size > VA ? 4 * size : VA;
	__u64 far = size > SZ_4K ? 0x3ff8 : 0xff8;
	int i;

	s1_map_level(&self->s1, va, page, ARM_RW, variant->level);
	bind_s1();
	test_reaches(&self->g, 0, va, page);
	test_writes(&self->g, 0, va + far, page + far);

	/* Gone, and seen to be gone once it is invalidated */
	for (i = 0; i < 2; i++) {
		guest_write(&self->g.vmm,
			    s1_entry(&self->s1, va, variant->level), 0);
		test_writes(&self->g, 0, va, page);
		/* In its own granule, or in pages of 4 KiB */
		test_cmd_inv(DEVICE,
			     inv_va(9, va, i ? SZ_4K : size, i ? size / SZ_4K : 1));
		test_reaches_not(&self->g, 0, va, page);
		s1_map_level(&self->s1, va, page, ARM_RW, variant->level);
		test_writes(&self->g, 0, va, page);
	}
}

/* The hardware keeps a context descriptor until it is told */
TEST_F(smmuv3, context_descriptor)
{
	struct iommu_cache_invalidate_info inv[] = {
		inv_domain(CD_CACHE),
		inv_pasid(CD_CACHE, NO_PASID),
		inv_pasid(CD_CACHE, 0),
		inv_asid(CD_CACHE, 5),
	};
	struct s1 other;
	size_t i;

	guest_s1(&self->g, &other, 12, 39, 5);
	s1_map(&other, VA, self->page[1]);
	bind_s1();
	for (i = 0; i < sizeof(inv) / sizeof(*inv); i++) {
		test_writes(&self->g, 0, VA, self->page[0]);
		guest_write(&self->g.vmm, self->s1.cd + 8, other.root);
		/* The TLB alone does not do */
		test_cmd_inv(DEVICE, inv_domain(IOTLB));
		test_writes(&self->g, 0, VA, self->page[0]);
		test_cmd_inv(DEVICE, inv[i]);
		test_cmd_inv(DEVICE, inv_domain(IOTLB));
		test_writes(&self->g, 0, VA, self->page[1]);

		guest_write(&self->g.vmm, self->s1.cd + 8, self->s1.root);
		test_cmd_inv(DEVICE, inv_domain(CD_CACHE | IOTLB));
	}
}

TEST_F(smmuv3, inv_errors)
{
	struct iommu_cache_invalidate_info inv;

	/* Nothing is bound, so there is nothing stale */
	test_cmd_inv(DEVICE, inv_domain(IOTLB));
	bind_s1();
	test_err_inv(EINVAL, DEVICE, inv_asid(IOTLB, 0x10000));
	test_err_inv(EINVAL, DEVICE, inv_va(0x10000, VA, SZ_4K, 1));
	test_err_inv(EINVAL, DEVICE, inv_pasid(CD_CACHE, 1));
	test_err_inv(EINVAL, DEVICE, inv_addr(DEV_IOTLB, 1, VA, SZ_4K, 1));
	test_err_inv(EINVAL, DEVICE, inv_va(5, VA, 0, 1));
	test_err_inv(EINVAL, DEVICE, inv_va(5, VA, SZ_4K, 0));
	test_err_inv(EINVAL, DEVICE, inv_va(5, VA, 3 * SZ_4K, 1));
	test_err_inv(EINVAL, DEVICE, inv_va(5, VA + 8, SZ_4K, 1));
	test_err_inv(EINVAL, DEVICE, inv_va(5, VA, 1ULL << 63, 2));
	test_err_inv(EINVAL, DEVICE, inv_va(5, VA, SZ_4K, ~0ULL));
	inv = inv_domain(IOTLB);
	inv.cache = 8;
	test_err_inv(EINVAL, DEVICE, inv);
	/* The queue goes on */
	test_cmd_inv(DEVICE, inv_domain(IOTLB | CD_CACHE));
	test_writes(&self->g, 0, VA, self->page[0]);
}

TEST_F(smmuv3, inv_batch)
{
	struct iommu_cache_invalidate_info inv[] = {
		inv_va(5, VA + SZ_4K, SZ_4K, 1),
		inv_va(5, VA, SZ_4K, 1),
		inv_asid(IOTLB, 0x10000),
		inv_domain(IOTLB),
	};

	bind_s1();
	test_writes(&self->g, 0, VA, self->page[0]);
	s1_map(&self->s1, VA, self->page[1]);
	test_cmd_inv_batch(DEVICE, inv, sizeof(*inv), 1);
	test_writes(&self->g, 0, VA, self->page[0]);
	test_err_inv_batch(EINVAL, 2, DEVICE, inv, sizeof(*inv), 4);
	test_writes(&self->g, 0, VA, self->page[1]);
}

static int map_page(struct vmm *vmm, void *page, __u64 gpa)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)page,
		.iova = gpa,
		.size = SZ_4K,
	};

	return ioctl(vmm->container, VFIO_IOMMU_MAP_DMA, &map);
}

static int unmap_page(struct vmm *vmm, __u64 gpa)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = gpa,
		.size = SZ_4K,
	};

	return ioctl(vmm->container, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

/*
 * The hole of the first flush: the device has cached VA -> PA, the VMM unmaps the
 * page, and the guest does not lift a finger. The page is somebody else's now.
 */
TEST_F(smmuv3, unmapped_page_is_out_of_reach)
{
	__u64 gpa = GUEST_RAM + 2 * GUEST_RAM_SIZE;
	volatile __u64 *page;
	__u64 value;

	page = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	ASSERT_DONE(map_page(&self->g.vmm, (void *)page, gpa));
	s1_map(&self->s1, VA2, gpa);
	bind_s1();
	value = device_write(&self->g, 0, VA_SCRATCH, VA2);
	EXPECT_EQ(value, *page);

	ASSERT_DONE(unmap_page(&self->g.vmm, gpa));
	value = *page;
	device_write(&self->g, 0, VA_SCRATCH, VA2);
	EXPECT_EQ(value, *page);
	EXPECT_NE(value, device_read(&self->g, 0, VA_SCRATCH, VA2));

	/* What is still mapped is reached as before */
	test_reaches(&self->g, 0, VA, self->page[0]);
	ASSERT_DONE(map_page(&self->g.vmm, (void *)page, gpa));
	value = device_write(&self->g, 0, VA_SCRATCH, VA2);
	EXPECT_EQ(value, *page);
}

/* All of memory at once, which takes another path through the page tables */
TEST_F(smmuv3, unmapped_memory_is_out_of_reach)
{
	__u64 value;

	bind_s1();
	test_reaches(&self->g, 0, VA, self->page[0]);
	value = guest_read(&self->g.vmm, self->page[0]);
	ASSERT_DONE(vmm_unmap_ram(&self->g.vmm));
	guest_write(&self->g.vmm, self->g.scratch, 0);
	EXPECT_EQ(0, edu_dma(&self->g.edu[0], true, VA, 0, 8));
	EXPECT_EQ(value, guest_read(&self->g.vmm, self->page[0]));
	ASSERT_DONE(vmm_map_ram(&self->g.vmm));
	test_reaches(&self->g, 0, VA, self->page[0]);
}

/* The next record, which is an unrecoverable fault */
#define test_fault(fd, _reason, _flags, _perm, _addr)			\
	({								\
		struct iommu_fault _rec;				\
									\
		test_cmd_fault_read(fd, &_rec);				\
		EXPECT_EQ(IOMMU_FAULT_DMA_UNRECOV, _rec.type);		\
		EXPECT_EQ(0, _rec.padding);				\
		EXPECT_EQ(_reason, _rec.event.reason);			\
		EXPECT_EQ(_flags, _rec.event.flags &			\
			  ~IOMMU_FAULT_UNRECOV_FETCH_ADDR_VALID);	\
		EXPECT_EQ(0, _rec.event.pasid);				\
		EXPECT_EQ(_perm, _rec.event.perm);			\
		EXPECT_EQ(_addr, _rec.event.addr);			\
		_rec.event.fetch_addr;					\
	})

#define ADDR_VALID	IOMMU_FAULT_UNRECOV_ADDR_VALID

/* Has the kernel logged @text: since @kmsg was opened, or this was last asked? */
static bool log_has(int kmsg, const char *text)
{
	char record[4096];
	bool found = false;
	ssize_t len;

	for (;;) {
		len = read(kmsg, record, sizeof(record) - 1);
		/* Some were lost before they could be read */
		if (len < 0 && errno == EPIPE)
			continue;
		if (len <= 0)
			return found;
		record[len] = 0;
		found = found || strstr(record, text);
	}
}

TEST_F_TIMEOUT(smmuv3, faults, 60)
{
	struct pci_dev *edu = &self->g.edu[0];
	int fd = fault_open(self->g.vmm.dev[0]);
	int kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	bool logged = false;
	char line[24];
	__u64 fetch;
	int i;

	ASSERT_LE(0, fd);
	ASSERT_LE(0, kmsg);
	ASSERT_LE(0, lseek(kmsg, 0, SEEK_END));
	EXPECT_ERRNO(EBUSY, fault_open(self->g.vmm.dev[0]));
	bind_s1();

	/* Not mapped; accesses of 4 bytes make one event */
	EXPECT_EQ(0, edu_dma(edu, false, VA2, 0, 4));
	test_fault(fd, IOMMU_FAULT_REASON_PTE_FETCH, ADDR_VALID,
		   IOMMU_FAULT_PERM_READ, VA2);
	EXPECT_EQ(0, edu_dma(edu, true, VA2 + 0x124, 0, 4));
	test_fault(fd, IOMMU_FAULT_REASON_PTE_FETCH, ADDR_VALID,
		   IOMMU_FAULT_PERM_WRITE, VA2 + 0x124);

	s1_map_level(&self->s1, VA2, self->page[1], ARM_RO, 0);
	EXPECT_EQ(0, edu_dma(edu, true, VA2 + 8, 0, 4));
	test_fault(fd, IOMMU_FAULT_REASON_PERMISSION, ADDR_VALID,
		   IOMMU_FAULT_PERM_WRITE, VA2 + 8);

	s1_map_level(&self->s1, VA2 + SZ_4K, self->page[1], ARM_RW & ~ARM_AF, 0);
	EXPECT_EQ(0, edu_dma(edu, false, VA2 + SZ_4K, 0, 4));
	test_fault(fd, IOMMU_FAULT_REASON_ACCESS, ADDR_VALID,
		   IOMMU_FAULT_PERM_READ, VA2 + SZ_4K);

	s1_map_level(&self->s1, VA2 + 2 * SZ_4K, 1ULL << 46, ARM_RW, 0);
	EXPECT_EQ(0, edu_dma(edu, false, VA2 + 2 * SZ_4K, 0, 4));
	test_fault(fd, IOMMU_FAULT_REASON_OOR_ADDRESS, ADDR_VALID,
		   IOMMU_FAULT_PERM_READ, VA2 + 2 * SZ_4K);

	/*
	 * Guest memory that is not there: stage 2's fault is the host's. Its log
	 * takes ten events in five seconds, those of earlier tests included.
	 */
	s1_map(&self->s1, VA2 + 3 * SZ_4K, GUEST_RAM + 64 * GUEST_RAM_SIZE);
	snprintf(line, sizeof(line), "0x%016llx", VA2 + 3 * SZ_4K);
	for (i = 0; i < 40 && !logged; i++) {
		EXPECT_EQ(0, edu_dma(edu, false, VA2 + 3 * SZ_4K, 0, 4));
		sleep_ms(100);
		logged = log_has(kmsg, line);
	}
	EXPECT_TRUE(logged);
	close(kmsg);
	test_fault_none(fd);

	/* A table, then a descriptor, that is not in guest memory */
	guest_write(&self->g.vmm, self->s1.cd + 8, GUEST_RAM + 64 * GUEST_RAM_SIZE);
	test_cmd_inv(DEVICE, inv_domain(CD_CACHE | IOTLB));
	EXPECT_EQ(0, edu_dma(edu, false, VA, 0, 4));
	fetch = test_fault(fd, IOMMU_FAULT_REASON_WALK_EABT, ADDR_VALID,
			   IOMMU_FAULT_PERM_READ, VA);
	EXPECT_EQ(GUEST_RAM + 64 * GUEST_RAM_SIZE, fetch);
	guest_write(&self->g.vmm, self->s1.cd, 0);
	test_cmd_inv(DEVICE, inv_domain(CD_CACHE | IOTLB));
	EXPECT_EQ(0, edu_dma(edu, false, VA, 0, 4));
	test_fault(fd, IOMMU_FAULT_REASON_BAD_PASID_ENTRY, 0, 0, 0);
	test_cmd_bind_table(DEVICE, table_config(IOMMU_PASID_CONFIG_TRANSLATE,
						 GUEST_RAM + 64 * GUEST_RAM_SIZE,
						 0));
	EXPECT_EQ(0, edu_dma(edu, false, VA, 0, 4));
	fetch = test_fault(fd, IOMMU_FAULT_REASON_PASID_FETCH, ADDR_VALID,
			   IOMMU_FAULT_PERM_READ, VA);
	EXPECT_EQ(GUEST_RAM + 64 * GUEST_RAM_SIZE, fetch);

	/* No binding, no faults of a guest */
	test_cmd_unbind_table(DEVICE);
	EXPECT_EQ(0, edu_dma(edu, false, VA, 0, 4));
	sleep_ms(100);
	test_fault_none(fd);
	close(fd);
}

/* The doorbell is behind stage 1 like all else. */
TEST_F(smmuv3, msi)
{
	struct pci_dev *edu = &self->g.edu[0];
	int fd = pci_irq_fd(edu, VFIO_PCI_MSI_IRQ_INDEX);
	__u64 a;

	ASSERT_LE(0, fd);
	EXPECT_TRUE(edu_irq_arrives(edu, fd));
	bind_s1();
	EXPECT_FALSE(edu_irq_arrives(edu, fd));

	for (a = MSI_WINDOW; a < MSI_WINDOW + MSI_WINDOW_SIZE; a += SZ_4K)
		s1_map(&self->s1, a, a);
	test_cmd_inv(DEVICE, inv_domain(IOTLB));
	EXPECT_TRUE(edu_irq_arrives(edu, fd));
	EXPECT_TRUE(edu_irq_arrives(edu, fd));
	test_writes(&self->g, 0, VA, self->page[0]);

	test_cmd_unbind_table(DEVICE);
	EXPECT_TRUE(edu_irq_arrives(edu, fd));
	close(fd);
}

/* The window is among the ranges that the container does not offer as IOVAs */
TEST_F(smmuv3, msi_window_is_visible)
{
	__u8 buf[4096] __attribute__((aligned(8))) = {};
	struct vfio_iommu_type1_info *info = (void *)buf;
	bool found = false;
	__u32 next;
	__u32 i;

	info->argsz = sizeof(buf);
	ASSERT_EQ(0, ioctl(self->g.vmm.container, VFIO_IOMMU_GET_INFO, info));
	for (next = info->cap_offset; next;) {
		struct vfio_iommu_type1_info_cap_iova_range *cap =
			(void *)(buf + next);

		next = cap->header.next;
		if (cap->header.id != VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
			continue;
		found = true;
		EXPECT_LT(0, cap->nr_iovas);
		for (i = 0; i < cap->nr_iovas; i++)
			EXPECT_TRUE(cap->iova_ranges[i].end < MSI_WINDOW ||
				    cap->iova_ranges[i].start >=
				    MSI_WINDOW + MSI_WINDOW_SIZE);
	}
	EXPECT_TRUE(found);
}

/*
 * NVM Express, controller registers and Identify: an admin command by a queue in
 * memory. All that the controller touches, it touches by guest-virtual address.
 */
#define NVME_CC			0x14
#define NVME_CSTS		0x1c
#define NVME_AQA		0x24
#define NVME_ASQ		0x28
#define NVME_ACQ		0x30
#define NVME_SQ_TAIL		0x1000
#define NVME_BAR_SIZE		0x2000
#define NVME_SQ			0
#define NVME_CQ			SZ_4K
#define NVME_DATA		(2 * SZ_4K)
#define NVME_QUEUE_SIZE		4

static bool nvme_enable(struct pci_dev *nvme, bool on)
{
	int i;

	/* Completions of 16 bytes, commands of 64 */
	pci_write32(nvme, NVME_CC, on ? 4 << 20 | 6 << 16 | 1 : 0);
	for (i = 0; i < 200 && (pci_read32(nvme, NVME_CSTS) & 1) != on; i++)
		sleep_ms(5);
	return (pci_read32(nvme, NVME_CSTS) & 1) == on;
}

/* Identify the controller, as command number @n; true if its data arrives */
static bool nvme_identify(struct guest *g, struct pci_dev *nvme, __u64 page, int n)
{
	__u64 sq = page + NVME_SQ + n * 64, cq = page + NVME_CQ + n * 16;
	int i;

	guest_write(&g->vmm, page + NVME_DATA, 0);
	/* Opcode and command ID, PRP 1, "the controller" */
	guest_write(&g->vmm, sq, 0x06 | (__u64)n << 16);
	guest_write(&g->vmm, sq + 24, VA + NVME_DATA);
	guest_write(&g->vmm, sq + 40, 1);
	__sync_synchronize();
	pci_write32(nvme, NVME_SQ_TAIL, n + 1);
	/* Phase, and a status of success */
	for (i = 0; i < 200 && guest_read(&g->vmm, cq + 8) >> 48 != 1; i++)
		sleep_ms(5);
	return guest_read(&g->vmm, cq + 8) >> 48 == 1 &&
	       (guest_read(&g->vmm, page + NVME_DATA) & 0xffff) == 0x1b36;
}

/* A controller's queues and data behind both stages, and its MSI-X */
TEST_F(smmuv3, nvme_msix)
{
	struct pci_dev *nvme = &self->g.edu[2];
	__u64 page, a;
	int fd;

	if (!has_nvme)
		SKIP(return, "no NVMe controller behind an IOMMU");
	ASSERT_EQ(0, guest_add_name(&self->g, 2, false, nvme_name[0],
				    NVME_BAR_SIZE));
	page = s1_alloc(&self->g.vmm, 4 * SZ_4K);
	for (a = 0; a < 3 * SZ_4K; a += SZ_4K)
		s1_map(&self->s1, VA + a, page + a);
	fd = pci_irq_fd(nvme, VFIO_PCI_MSIX_IRQ_INDEX);
	ASSERT_LE(0, fd);
	test_cmd_bind_table(device_scope(&self->g.vmm, 2),
			    s1_config(&self->s1));

	ASSERT_TRUE(nvme_enable(nvme, false));
	pci_write32(nvme, NVME_AQA, (NVME_QUEUE_SIZE - 1) << 16 |
				    (NVME_QUEUE_SIZE - 1));
	pci_write64(nvme, NVME_ASQ, VA + NVME_SQ);
	pci_write64(nvme, NVME_ACQ, VA + NVME_CQ);
	ASSERT_TRUE(nvme_enable(nvme, true));

	/* The doorbell of interrupts is not mapped in stage 1 yet */
	EXPECT_TRUE(nvme_identify(&self->g, nvme, page, 0));
	EXPECT_FALSE(pci_irq_wait(fd));
	for (a = MSI_WINDOW; a < MSI_WINDOW + MSI_WINDOW_SIZE; a += SZ_4K)
		s1_map(&self->s1, a, a);
	test_cmd_inv(device_scope(&self->g.vmm, 2), inv_domain(IOTLB));
	EXPECT_TRUE(nvme_identify(&self->g, nvme, page, 1));
	EXPECT_TRUE(pci_irq_wait(fd));

	/* Data by an address that the guest has taken away */
	guest_write(&self->g.vmm, s1_entry(&self->s1, VA + NVME_DATA, 0), 0);
	test_cmd_inv(CONTAINER, inv_va(5, VA + NVME_DATA, SZ_4K, 1));
	EXPECT_FALSE(nvme_identify(&self->g, nvme, page, 2));
	nvme_enable(nvme, false);
	close(fd);
}

/* What depends on the hardware, and the sizes with this format's member */
TEST_F(smmuv3, config_errors)
{
	const __u32 need = offsetofend(struct iommu_pasid_table_config,
				       vendor.smmuv3);
	struct iommu_pasid_table_config cfg = s1_config(&self->s1);
	__u8 newer[sizeof(cfg) + 16] = {};
	__u32 size;

	cfg.pasid_bits = 1;
	cfg.base_ptr = self->page[1];
	test_err_bind_table(EINVAL, DEVICE, cfg);
	cfg = s1_config(&self->s1);
	cfg.base_ptr = 1ULL << 51;
	test_err_bind_table(EINVAL, DEVICE, cfg);
	cfg.base_ptr = 1ULL << 56;
	test_err_bind_table(EINVAL, DEVICE, cfg);
	cfg.base_ptr = self->s1.cd + 32;
	test_err_bind_table(EINVAL, DEVICE, cfg);
	cfg = s1_config(&self->s1);
	cfg.vendor.smmuv3.s1fmt = 3;
	test_err_bind_table(EINVAL, DEVICE, cfg);
	cfg = s1_config(&self->s1);
	cfg.vendor.smmuv3.s1dss = 3;
	test_err_bind_table(EINVAL, DEVICE, cfg);
	cfg = s1_config(&self->s1);
	cfg.vendor.smmuv3.padding[5] = 1;
	test_err_bind_table(EINVAL, DEVICE, cfg);
	cfg = s1_config(&self->s1);
	cfg.config = 4;
	test_err_bind_table(EINVAL, DEVICE, cfg);
	cfg = s1_config(&self->s1);
	cfg.flags = 2;
	test_err_bind_table(EINVAL, DEVICE, cfg);
	cfg = s1_config(&self->s1);
	cfg.version = 2;
	test_err_bind_table(EINVAL, DEVICE, cfg);
	cfg = s1_config(&self->s1);
	cfg.format = IOMMU_PASID_FORMAT_INTEL_VTD;
	test_err_bind_table(EINVAL, DEVICE, cfg);

	/* Cut at each byte */
	for (size = 0; size < need; size++) {
		cfg = s1_config(&self->s1);
		cfg.argsz = size;
		test_err_bind_table(EINVAL, DEVICE, cfg);
		test_err_bind_table(EINVAL, CONTAINER, cfg);
	}
	/* No stage 1 yet */
	test_writes_raw(&self->g, 0, self->page[1]);

	/* A newer user, with and without the new */
	cfg = s1_config(&self->s1);
	cfg.argsz = sizeof(newer);
	memcpy(newer, &cfg, sizeof(cfg));
	newer[sizeof(newer) - 1] = 1;
	EXPECT_ERRNO(E2BIG, nesting_call(DEVICE, OP_BIND_PASID_TABLE, newer,
					 sizeof(newer)));
	newer[sizeof(newer) - 1] = 0;
	ASSERT_DONE(nesting_call(DEVICE, OP_BIND_PASID_TABLE, newer,
				 sizeof(newer)));
	test_writes(&self->g, 0, VA, self->page[0]);

	/* A bad replacement leaves the table that is there */
	cfg = s1_config(&self->s1);
	cfg.pasid_bits = 20;
	test_err_bind_table(EINVAL, DEVICE, cfg);
	test_writes(&self->g, 0, VA, self->page[0]);
}

/* This hardware binds PASID tables, not page tables, and lends no PASIDs. */
TEST_F(smmuv3, other_format)
{
	struct guest_pt pt = {
		.vmm = &self->g.vmm,
		.format = GUEST_PT_ARM,
		.levels = 4,
		.root = self->page[0],
	};

	test_err_bind(EOPNOTSUPP, DEVICE, &pt, NO_PASID);
	test_err_pasid_alloc(EOPNOTSUPP, self->g.vmm.container, 1, 100);
}

/* Pages that IOMMU drivers have taken for page tables, or -1 */
static long iommu_pages(void)
{
	long pages = -1;
	char line[80];
	FILE *vmstat;

	/* Each CPU counts on its own until it is asked. */
	param_write("/proc/sys/vm/stat_refresh", "1");
	vmstat = fopen("/proc/vmstat", "r");
	if (!vmstat)
		return -1;
	while (fgets(line, sizeof(line), vmstat))
		if (sscanf(line, "nr_iommu_pages %ld", &pages) == 1)
			break;
	fclose(vmstat);
	return pages;
}

TEST_F_TIMEOUT(smmuv3, bind_100_times, 60)
{
	long pages;
	int i;

	bind_s1();
	test_cmd_unbind_table(DEVICE);
	pages = iommu_pages();
	ASSERT_LT(0, pages);
	for (i = 0; i < 100; i++) {
		bind_s1();
		if (i % 2)
			test_cmd_bind_table(DEVICE,
					    table_config(IOMMU_PASID_CONFIG_ABORT,
							 0, 0));
		test_cmd_unbind_table(DEVICE);
	}
	EXPECT_EQ(pages, iommu_pages());
	bind_s1();
	test_reaches(&self->g, 0, VA, self->page[0]);
}

/* All of a guest comes and goes, and leaves no page table behind. */
TEST_F_TIMEOUT(smmuv3, open_30_times, 60)
{
	long pages;
	int i;

	bind_s1();
	guest_close(&self->g);
	pages = iommu_pages();
	ASSERT_LT(0, pages);
	for (i = 0; i < 30; i++) {
		ASSERT_EQ(0, guest_open(&self->g, 0));
		guest_s1(&self->g, &self->s1, 12, 39, 5);
		bind_s1();
		guest_close(&self->g);
	}
	EXPECT_EQ(pages, iommu_pages());
}

/* Closing the device ends what was bound through it. */
TEST_F(smmuv3, close_device)
{
	struct vmm *vmm = &self->g.vmm;

	bind_s1();
	pci_stop(&self->g.edu[0]);
	close(vmm->dev[0]);
	vmm->dev[0] = ioctl(vmm->group[0], VFIO_GROUP_GET_DEVICE_FD,
			    edu_names[0]);
	ASSERT_LE(0, vmm->dev[0]);
	ASSERT_EQ(0, edu_start(&self->g.edu[0], vmm->dev[0]));
	test_writes_raw(&self->g, 0, self->page[1]);
	test_err_unbind_table(ENOENT, DEVICE);

	/* Not what was bound through the container */
	test_cmd_bind_table(CONTAINER, s1_config(&self->s1));
	pci_stop(&self->g.edu[0]);
	close(vmm->dev[0]);
	vmm->dev[0] = ioctl(vmm->group[0], VFIO_GROUP_GET_DEVICE_FD,
			    edu_names[0]);
	ASSERT_LE(0, vmm->dev[0]);
	ASSERT_EQ(0, edu_start(&self->g.edu[0], vmm->dev[0]));
	test_writes(&self->g, 0, VA, self->page[0]);
}

FIXTURE(smmuv3_two)
{
	struct guest g;
	struct s1 s1[2];
	__u64 page[2];
};

FIXTURE_SETUP(smmuv3_two)
{
	int i;

	if (nr_edu < 2)
		SKIP(return, "no two edu devices behind an IOMMU");
	ASSERT_EQ(0, guest_open(&self->g, 0));
	for (i = 0; i < 2; i++) {
		guest_s1(&self->g, &self->s1[i], 12, 39, 5 + i);
		self->page[i] = s1_alloc(&self->g.vmm, SZ_4K);
		s1_map(&self->s1[i], VA, self->page[i]);
	}
}

FIXTURE_TEARDOWN(smmuv3_two)
{
	guest_close(&self->g);
}

#define SCOPE(n)	device_scope(&self->g.vmm, n)

/* Devices of one container share the VMID: the ASIDs keep them apart. */
TEST_F(smmuv3_two, one_container)
{
	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	test_cmd_bind_table(SCOPE(0), s1_config(&self->s1[0]));
	test_cmd_bind_table(SCOPE(1), s1_config(&self->s1[1]));
	test_reaches(&self->g, 0, VA, self->page[0]);
	test_reaches(&self->g, 1, VA, self->page[1]);

	/* An invalidation for one ASID is none for the other */
	s1_map(&self->s1[0], VA, self->page[1]);
	test_cmd_inv(CONTAINER, inv_asid(IOTLB, 6));
	test_writes(&self->g, 0, VA, self->page[0]);
	test_cmd_inv(CONTAINER, inv_asid(IOTLB, 5));
	test_writes(&self->g, 0, VA, self->page[1]);

	/* Unbinding one leaves the other */
	test_cmd_unbind_table(SCOPE(0));
	test_writes_raw(&self->g, 0, self->page[0]);
	test_reaches(&self->g, 1, VA, self->page[1]);
	test_cmd_unbind_table(CONTAINER);
	test_writes_raw(&self->g, 1, self->page[0]);
}

/* One table for all of the container */
TEST_F(smmuv3_two, container_scope)
{
	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	test_cmd_bind_table(CONTAINER, s1_config(&self->s1[0]));
	test_reaches(&self->g, 0, VA, self->page[0]);
	test_reaches(&self->g, 1, VA, self->page[0]);
	test_cmd_unbind_table(CONTAINER);
	test_writes_raw(&self->g, 0, self->page[0]);
	test_writes_raw(&self->g, 1, self->page[0]);
}

/* A device that comes later has stage 2 alone until it is bound itself. */
TEST_F(smmuv3_two, late_joiner)
{
	test_cmd_bind_table(CONTAINER, s1_config(&self->s1[0]));
	test_writes(&self->g, 0, VA, self->page[0]);
	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	test_writes_raw(&self->g, 1, self->page[0]);
	test_writes(&self->g, 0, VA, self->page[0]);
	test_cmd_bind_table(SCOPE(1), s1_config(&self->s1[0]));
	test_reaches(&self->g, 1, VA, self->page[0]);
	test_cmd_unbind_table(CONTAINER);
	test_writes_raw(&self->g, 0, self->page[0]);
	test_writes_raw(&self->g, 1, self->page[0]);
}

/* Two guests with the same ASID: the VMIDs keep them apart. */
TEST_F(smmuv3_two, two_containers)
{
	struct guest other;
	struct s1 s1;
	__u64 page;

	ASSERT_EQ(0, guest_open(&other, 1));
	guest_s1(&other, &s1, 12, 39, 5);
	page = s1_alloc(&other.vmm, SZ_4K);
	s1_map(&s1, VA, page);
	test_cmd_bind_table(SCOPE(0), s1_config(&self->s1[0]));
	test_cmd_bind_table(container_scope(&other.vmm), s1_config(&s1));
	test_reaches(&self->g, 0, VA, self->page[0]);
	test_reaches(&other, 1, VA, page);

	/* The other guest's invalidations do not reach our entries */
	s1_map(&self->s1[0], VA, self->page[1]);
	test_cmd_inv(container_scope(&other.vmm), inv_va(5, VA, SZ_4K, 1));
	test_cmd_inv(container_scope(&other.vmm), inv_asid(IOTLB, 5));
	test_cmd_inv(container_scope(&other.vmm), inv_domain(IOTLB | CD_CACHE));
	test_writes(&self->g, 0, VA, self->page[0]);
	test_cmd_inv(SCOPE(0), inv_va(5, VA, SZ_4K, 1));
	test_writes(&self->g, 0, VA, self->page[1]);

	/* Nor our context descriptor, which goes to another table now */
	s1_map(&self->s1[1], VA, self->page[0]);
	guest_write(&self->g.vmm, self->s1[0].cd + 8, self->s1[1].root);
	test_cmd_inv(container_scope(&other.vmm), inv_domain(CD_CACHE));
	test_cmd_inv(SCOPE(0), inv_domain(IOTLB));
	test_writes(&self->g, 0, VA, self->page[1]);
	test_cmd_inv(SCOPE(0), inv_domain(CD_CACHE | IOTLB));
	test_writes(&self->g, 0, VA, self->page[0]);

	guest_close(&other);
	test_reaches(&self->g, 0, VA, self->page[0]);
}

/* Faults go to the device that they are of */
TEST_F(smmuv3_two, faults)
{
	int fd[2], i;

	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	for (i = 0; i < 2; i++) {
		fd[i] = fault_open(self->g.vmm.dev[i]);
		ASSERT_LE(0, fd[i]);
		test_cmd_bind_table(SCOPE(i), s1_config(&self->s1[i]));
	}
	EXPECT_EQ(0, edu_dma(&self->g.edu[1], true, VA2, 0, 4));
	test_fault(fd[1], IOMMU_FAULT_REASON_PTE_FETCH, ADDR_VALID,
		   IOMMU_FAULT_PERM_WRITE, VA2);
	test_fault_none(fd[0]);
	for (i = 0; i < 2; i++)
		close(fd[i]);
}

/* A burst at an odd address makes an event for every few bytes. */
TEST_F(smmuv3_two, fault_flood)
{
	struct pci_dev *edu = &self->g.edu[0];
	struct iommu_fault record;
	unsigned int records = 0;
	__u64 lost = 0;
	int fd[2], i;

	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	for (i = 0; i < 2; i++) {
		fd[i] = fault_open(self->g.vmm.dev[i]);
		ASSERT_LE(0, fd[i]);
		test_cmd_bind_table(SCOPE(i), s1_config(&self->s1[i]));
	}
	set_nonblock(fd[0], true);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, edu_dma(edu, false, VA2 + 1, 0, EDU_BUF_SIZE));

	/* They are handled in order: the other device's comes after them all. */
	EXPECT_EQ(0, edu_dma(&self->g.edu[1], true, VA2, 0, 4));
	EXPECT_EQ(POLLIN, fd_wait(fd[1], POLLIN, 15000));
	test_fault(fd[1], IOMMU_FAULT_REASON_PTE_FETCH, ADDR_VALID,
		   IOMMU_FAULT_PERM_WRITE, VA2);
	while (read(fd[0], &record, sizeof(record)) == sizeof(record)) {
		records++;
		if (record.type == IOMMU_FAULT_LOST)
			lost += record.lost.unrecoverable;
	}
	TH_LOG("%u records, %llu lost", records, lost);
	/* A full queue, and the record that says how many did not get in */
	EXPECT_EQ(256 + 1, records);
	EXPECT_LT(0, lost);

	/* And goes on, for others and for us */
	test_reaches(&self->g, 0, VA, self->page[0]);
	EXPECT_EQ(0, edu_dma(edu, false, VA2, 0, 4));
	test_fault(fd[0], IOMMU_FAULT_REASON_PTE_FETCH, ADDR_VALID,
		   IOMMU_FAULT_PERM_READ, VA2);
	for (i = 0; i < 2; i++)
		close(fd[i]);
}

/* The kernel may take no table as long as events of the last one are under way. */
static int bind_anew(struct scope scope, struct iommu_pasid_table_config cfg)
{
	int i, ret = -1;

	for (i = 0; i < 50 && ret; i++) {
		ret = _test_cmd_bind_table(scope, cfg);
		if (ret && errno != EBUSY)
			break;
	}
	return ret;
}

/* However soon the next binding comes, it is told nothing of the last one. */
TEST_F_TIMEOUT(smmuv3_two, faults_before_bind, 60)
{
	static struct iommu_fault told[300];
	struct pci_dev *edu = self->g.edu;
	int i, fd;

	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	fd = fault_open(self->g.vmm.dev[0]);
	ASSERT_LE(0, fd);
	set_nonblock(fd, true);
	for (i = 0; i < 2; i++)
		test_cmd_bind_table(SCOPE(i), s1_config(&self->s1[i]));

	for (i = 0; i < 5; i++) {
		/* The other device's events come first, and take time as well. */
		edu_dma_begin(&edu[1], false, VA2 + 1, 0, EDU_BUF_SIZE);
		edu_dma_begin(&edu[0], false, VA2 + 1, 0, EDU_BUF_SIZE);
		while (pci_read32(&edu[0], EDU_DMA_CMD) & EDU_DMA_RUN)
			sleep_ms(1);
		test_cmd_unbind_table(SCOPE(0));
		while (read(fd, told, sizeof(told)) > 0)
			;
		ASSERT_DONE(bind_anew(SCOPE(0), s1_config(&self->s1[0])));

		/* Events are told in order: any old one would be first. */
		EXPECT_EQ(0, edu_dma(&edu[0], false, VA2 + SZ_64K, 0, 4));
		test_fault(fd, IOMMU_FAULT_REASON_PTE_FETCH, ADDR_VALID,
			   IOMMU_FAULT_PERM_READ, VA2 + SZ_64K);
		test_fault_none(fd);
		EXPECT_EQ(0, edu_dma_end(&edu[1]));
	}
	test_reaches(&self->g, 0, VA, self->page[0]);
	close(fd);
}

/*
 * A device's group leaves the container, which stays for another one, and then the
 * container goes. The guest's memory is ours all the time, and nothing but the
 * IOMMU keeps the devices from it.
 */
TEST_F_TIMEOUT(smmuv3_two, group_leaves, 60)
{
	struct vmm *vmm = &self->g.vmm;
	struct pci_dev bare[2] = {};
	int i;

	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	test_cmd_bind_table(CONTAINER, s1_config(&self->s1[0]));
	EXPECT_ERRNO(EBUSY, ioctl(vmm->group[0], VFIO_GROUP_UNSET_CONTAINER));
	for (i = 0; i < 2; i++) {
		test_writes(&self->g, i, VA, self->page[0]);
		pci_stop(&self->g.edu[i]);
		close_fd(&vmm->dev[i]);
		ASSERT_EQ(0, edu_start_bare(&bare[i], edu_names[i]));
		EXPECT_TRUE(device_hits(&self->g, &bare[i], self->page[0]));
	}

	ASSERT_DONE(ioctl(vmm->group[0], VFIO_GROUP_UNSET_CONTAINER));
	ASSERT_FALSE(device_hits(&self->g, &bare[0], self->page[0]));
	EXPECT_TRUE(device_hits(&self->g, &bare[1], self->page[0]));

	vmm_close_fds(vmm);
	for (i = 0; i < 2; i++) {
		EXPECT_FALSE(device_hits(&self->g, &bare[i], self->page[0]));
		pci_stop(&bare[i]);
	}
}

/*
 * The process dies while its device is about to write. Its memory is shared with
 * us, so we see whether the write arrives; and the next owner of the device finds
 * no trace of the table.
 */
TEST_F_TIMEOUT(smmuv3_two, killed_in_dma, 60)
{
	struct pci_dev bare = {};
	volatile __u64 *seen;
	struct guest g;
	struct s1 s1;
	int status, i, in_time = 0;
	__u64 page, value;
	pid_t pid;

	guest_close(&self->g);
	seen = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, seen);
	for (i = 0; i < 5; i++) {
		seen[0] = 0;
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			if (guest_open(&g, 0) ||
			    map_page(&g.vmm, (void *)seen, 1ULL << 32))
				_exit(1);
			guest_s1(&g, &s1, 12, 39, 5);
			s1_map(&s1, VA, 1ULL << 32);
			if (_test_cmd_bind_table(device_scope(&g.vmm, 0),
						 s1_config(&s1)))
				_exit(2);
			guest_write(&g.vmm, g.scratch, ~0ULL);
			if (edu_dma(&g.edu[0], false, VA_SCRATCH, 0, 8) ||
			    edu_dma(&g.edu[0], true, VA + 8, 0, 8))
				_exit(3);
			edu_dma_begin(&g.edu[0], true, VA, 0, 8);
			raise(SIGKILL);
			_exit(4);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status)) {
			TH_LOG("exit status %d", WEXITSTATUS(status));
		}
		EXPECT_EQ(~0ULL, seen[1]);
		/* All is closed now. What comes after this comes too late. */
		value = seen[0];
		in_time += !value;
		sleep_ms(200);
		EXPECT_EQ(value, seen[0]);
		seen[1] = 0;
		/* Nor does what it is told to do from now on. */
		ASSERT_EQ(0, edu_start_bare(&bare, edu_names[0]));
		EXPECT_FALSE(device_hits_page(&bare, seen, 1ULL << 32));
		pci_stop(&bare);
	}
	EXPECT_LT(0, in_time) {
		TH_LOG("the device was always faster than the kernel");
	}

	ASSERT_EQ(0, guest_open(&self->g, 0));
	page = s1_alloc(&self->g.vmm, SZ_4K);
	test_writes_raw(&self->g, 0, page);
	EXPECT_FALSE(device_hits_page(&self->g.edu[0], seen, 1ULL << 32));
}

/* The driver is unbound while the device has a table: it waits for the close. */
TEST_F_TIMEOUT(smmuv3_two, device_goes, 60)
{
	const char *unbind = "/sys/bus/pci/drivers/vfio-pci/unbind";
	int fd = fault_open(self->g.vmm.dev[0]);
	int status, group = pci_group(edu_names[0]);
	struct pci_dev bare = {};
	struct guest other;
	char path[64];
	__u64 page;
	pid_t pid;

	ASSERT_LE(0, fd);
	test_cmd_bind_table(CONTAINER, s1_config(&self->s1[0]));
	test_writes(&self->g, 0, VA, self->page[0]);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* Without the parent's descriptors, which keep the device */
		guest_close(&self->g);
		close(fd);
		_exit(param_write(unbind, edu_names[0]) ? 1 : 0);
	}
	sleep_ms(300);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	test_writes(&self->g, 0, VA, self->page[0]);

	pci_stop(&self->g.edu[0]);
	vmm_close_fds(&self->g.vmm);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(fd_wait(fd, POLLIN, 1000) & POLLHUP);
	close(fd);
	snprintf(path, sizeof(path), "/dev/vfio/%d", group);
	EXPECT_NE(0, access(path, F_OK));
	ASSERT_EQ(0, edu_start_bare(&bare, edu_names[0]));
	EXPECT_FALSE(device_hits(&self->g, &bare, self->page[0]));
	pci_stop(&bare);

	/* And comes back, with stage 2 alone: another guest's */
	ASSERT_EQ(0, pci_to_vfio(edu_names[0]));
	ASSERT_EQ(0, guest_open(&other, 0));
	page = s1_alloc(&other.vmm, SZ_4K);
	test_writes_raw(&other, 0, page);
	EXPECT_FALSE(device_hits(&self->g, &other.edu[0], self->page[0]));
	guest_close(&other);
}

/*
 * Take a device out of the machine, from a process without a descriptor of ours:
 * to remove it waits until nobody has it open.
 */
static pid_t remove_begin(struct guest *g, const char *name)
{
	char path[300];
	pid_t pid = fork();

	if (pid)
		return pid;
	guest_close(g);
	snprintf(path, sizeof(path), PCI_SYSFS "%s/remove", name);
	_exit(param_write(path, "1") ? 1 : 0);
}

static bool edu_is_there(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), PCI_SYSFS "%s", name);
	return !access(path, F_OK);
}

/*
 * The device leaves the machine, while it writes by a table that the container has
 * bound. The container stays, with the guest's memory and another device.
 */
TEST_F_TIMEOUT(smmuv3_two, device_removed, 60)
{
	struct vmm *vmm = &self->g.vmm;
	struct pci_dev *edu = &self->g.edu[0];
	struct pci_dev bare = {};
	struct guest other;
	int i, status, fd;
	__u64 page, value;
	struct s1 s1;
	pid_t pid;

	if (!host_physical(guest_ptr(vmm, self->page[0])))
		SKIP(return, "the kernel does not tell physical addresses");
	ASSERT_EQ(0, guest_add(&self->g, 1, false));
	test_cmd_bind_table(CONTAINER, s1_config(&self->s1[0]));
	test_cmd_bind_table(SCOPE(1), s1_config(&self->s1[1]));
	test_writes(&self->g, 0, VA, self->page[0]);
	test_writes(&self->g, 1, VA, self->page[1]);
	fd = fault_open(vmm->dev[0]);
	ASSERT_LE(0, fd);

	/* It is in use, and stays so for now */
	pid = remove_begin(&self->g, edu_names[0]);
	ASSERT_LE(0, pid);
	sleep_ms(300);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	test_reaches(&self->g, 0, VA, self->page[0]);
	test_reaches(&self->g, 1, VA, self->page[1]);

	/* Its last write is under way */
	edu_dma_begin(edu, true, VA, 0, 8);
	pci_stop(edu);
	close_fd(&vmm->dev[0]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_FALSE(edu_is_there(edu_names[0]));
	EXPECT_TRUE(fd_wait(fd, POLLIN, 1000) & POLLHUP);
	close(fd);
	value = guest_read(vmm, self->page[0]);
	sleep_ms(200);
	EXPECT_EQ(value, guest_read(vmm, self->page[0]));

	/* The other device, and the container's table for it, are as before. */
	test_reaches(&self->g, 1, VA, self->page[1]);
	test_cmd_inv(CONTAINER, inv_domain(IOTLB | CD_CACHE));
	test_reaches(&self->g, 1, VA, self->page[1]);

	/* Back, but nobody's: before it has a driver, and with vfio-pci's */
	ASSERT_EQ(0, param_write("/sys/bus/pci/rescan", "1"));
	ASSERT_TRUE(edu_is_there(edu_names[0]));
	ASSERT_EQ(0, edu_start_bare(&bare, edu_names[0]));
	EXPECT_FALSE(device_hits(&self->g, &bare, self->page[0]));
	pci_stop(&bare);
	ASSERT_EQ(0, pci_to_vfio(edu_names[0]));
	ASSERT_EQ(0, edu_start_bare(&bare, edu_names[0]));
	EXPECT_FALSE(device_hits(&self->g, &bare, self->page[0]));
	pci_stop(&bare);

	/* Another guest has it, with the same addresses */
	ASSERT_EQ(0, guest_open(&other, 0));
	guest_s1(&other, &s1, 12, 39, 5);
	page = s1_alloc(&other.vmm, SZ_4K);
	s1_map(&s1, VA, page);
	EXPECT_FALSE(device_hits(&self->g, &other.edu[0], self->page[0]));
	test_writes_raw(&other, 0, page);
	test_cmd_bind_table(container_scope(&other.vmm), s1_config(&s1));
	test_reaches(&other, 0, VA, page);
	EXPECT_FALSE(device_hits(&self->g, &other.edu[0], self->page[0]));
	test_reaches(&self->g, 1, VA, self->page[1]);
	guest_close(&other);

	/* And the first guest again: with stage 2 alone until it is bound */
	close_fd(&vmm->group[0]);
	ASSERT_EQ(0, guest_add(&self->g, 0, false));
	test_writes_raw(&self->g, 0, self->page[0]);
	for (i = 0; i < 2; i++) {
		test_cmd_bind_table(SCOPE(0), s1_config(&self->s1[0]));
		test_reaches(&self->g, 0, VA, self->page[0]);
		test_reaches(&self->g, 1, VA, self->page[1]);
		test_cmd_unbind_table(SCOPE(0));
	}
}

/*
 * An SMMU that must not nest, or cannot: one whose memory accesses a guest could
 * make uncached must not unless the administrator says otherwise, one without both
 * stages cannot whatever he says. The container works as it always has, says
 * nothing of nesting and binds nothing. With QEMU's stage=1 or stage=2 the latter
 * is the only test of nesting that makes sense.
 */
#define PARAM_UNCACHED	"/sys/module/arm_smmu_v3/parameters/allow_uncached_guests"

FIXTURE(smmuv3_lack)
{
	struct guest g;
};

FIXTURE_VARIANT(smmuv3_lack)
{
	bool allowed;
};

FIXTURE_VARIANT_ADD(smmuv3_lack, no_consent)
{
};

FIXTURE_VARIANT_ADD(smmuv3_lack, one_stage)
{
	.allowed = true,
};

FIXTURE_SETUP(smmuv3_lack)
{
	struct iommu_nesting_info info;

	if (!nr_edu)
		SKIP(return, "no edu device behind an IOMMU");
	ASSERT_EQ(0, param_set(PARAM_UNCACHED, variant->allowed));
	ASSERT_EQ(0, guest_open(&self->g, 0));
	if (variant->allowed &&
	    !_test_cmd_get_nesting_cap(self->g.vmm.container, &info))
		SKIP(return, "the SMMU has both stages");
}

FIXTURE_TEARDOWN(smmuv3_lack)
{
	guest_close(&self->g);
	EXPECT_EQ(0, param_set(PARAM_UNCACHED, 1));
}

TEST_F(smmuv3_lack, refused)
{
	struct iommu_nesting_info info = { .argsz = sizeof(info) };
	__u64 page = s1_alloc(&self->g.vmm, SZ_4K);
	struct s1 s1;
	int fd;

	guest_s1(&self->g, &s1, 12, 39, 5);
	s1_map(&s1, VA, page);
	EXPECT_ERRNO(ENOENT, _test_cmd_get_nesting_cap(self->g.vmm.container,
						       &info));
	EXPECT_ERRNO(EOPNOTSUPP,
		     _test_cmd_get_device_info(self->g.vmm.dev[0], &info,
					       sizeof(info)));
	test_err_bind_table(EOPNOTSUPP, DEVICE, s1_config(&s1));
	test_err_bind_table(EOPNOTSUPP, CONTAINER, s1_config(&s1));
	test_err_bind_table(EOPNOTSUPP, DEVICE,
			    table_config(IOMMU_PASID_CONFIG_ABORT, 0, 0));

	test_writes_raw(&self->g, 0, page);
	EXPECT_FALSE(device_writes(&self->g, 0, self->g.scratch, VA, page));
	fd = pci_irq_fd(&self->g.edu[0], VFIO_PCI_MSI_IRQ_INDEX);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(edu_irq_arrives(&self->g.edu[0], fd));
	close(fd);
	ASSERT_DONE(vmm_unmap_ram(&self->g.vmm));
	ASSERT_DONE(vmm_map_ram(&self->g.vmm));
	test_writes_raw(&self->g, 0, page);
}

/*
 * The DMA of a device that is the kernel's own is translated. QEMU's virtio-serial
 * is one, which may well carry these lines.
 */
TEST(dma_api)
{
	char name[1][32];

	if (!pci_list("0x1043", name, 1) || pci_group(name[0]) < 0)
		SKIP(return, "no virtio-serial behind an IOMMU");
	EXPECT_TRUE(pci_has_driver(name[0]));
	/* Or "DMA-FQ", where it is forgotten later */
	EXPECT_TRUE(pci_attr_is(name[0], "iommu_group/type", "DMA"));
}

/*
 * What worked before the user API does so still: containers of the old types and
 * iommufd, which translate by stage 1. Runs on unpatched kernels, too.
 */
FIXTURE(plain)
{
	struct vmm vmm;
	struct pci_dev edu;
	struct iommufd_ids iommufd;
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

FIXTURE_VARIANT_ADD(plain, iommufd)
{
};

FIXTURE_SETUP(plain)
{
	int ret = -1;

	if (!nr_edu)
		SKIP(return, "no edu device behind an IOMMU");
	self->iommufd.fd = -1;
	ASSERT_EQ(0, vmm_init(&self->vmm));
	if (variant->type)
		ret = vmm_open_pci(&self->vmm, variant->type, 0, edu_names[0]);
	else if (!iommufd_open_pci(&self->vmm, edu_names[0], &self->iommufd))
		ret = iommufd_attach(&self->vmm, self->iommufd.ioas);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, edu_start(&self->edu, self->vmm.dev[0]));
}

FIXTURE_TEARDOWN(plain)
{
	pci_stop(&self->edu);
	vmm_close(&self->vmm);
	close_fd(&self->iommufd.fd);
}

TEST_F(plain, dma_and_msi)
{
	__u64 from = GUEST_RAM + 0x3008, to = GUEST_RAM + 0x25010;
	__u64 value = fresh_value();
	int fd;

	guest_write(&self->vmm, from, value);
	ASSERT_EQ(0, edu_dma(&self->edu, false, from, 0, 8));
	ASSERT_EQ(0, edu_dma(&self->edu, true, to, 0, 8));
	EXPECT_EQ(value, guest_read(&self->vmm, to));
	/* Beyond what is mapped */
	ASSERT_EQ(0, edu_dma(&self->edu, false, GUEST_RAM + GUEST_RAM_SIZE, 0,
			     8));
	ASSERT_EQ(0, edu_dma(&self->edu, true, to, 0, 8));
	EXPECT_NE(value, guest_read(&self->vmm, to));

	fd = pci_irq_fd(&self->edu, VFIO_PCI_MSI_IRQ_INDEX);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(edu_irq_arrives(&self->edu, fd));
	close(fd);
}

/* None of the user API is in other containers, nor in iommufd's devices. */
TEST_F(plain, no_nesting)
{
	struct s1 s1 = { .cd = GUEST_RAM };
	struct iommu_pasid_table_config cfg = s1_config(&s1);

	if (variant->type)
		EXPECT_NE(0, _test_cmd_bind_table(container_scope(&self->vmm),
						  cfg));
	EXPECT_ERRNO(ENOTTY, _test_cmd_bind_table(device_scope(&self->vmm, 0),
						  cfg));
}

TEST_HARNESS_MAIN
