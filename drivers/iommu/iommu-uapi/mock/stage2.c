// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mock hardware of the IOMMU user API: what the host maps
 *
 * The domain of a container, or the parent of iommufd's nested domains. There is
 * no cache of it: each access of a device looks its page up and touches it under
 * one hold of the lock that an unmap takes for writing. So, once an unmap has
 * returned, no device touches the pages any more.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "mock.h"

/* An entry: physical page number, then IOMMU_READ and IOMMU_WRITE */
#define ENTRY_PROT	(IOMMU_READ | IOMMU_WRITE)
#define ENTRY_SHIFT	2

static int map_pages(struct iommu_domain *domain, unsigned long iova,
		     phys_addr_t paddr, size_t pgsize, size_t pgcount, int prot,
		     gfp_t gfp, size_t *mapped)
{
	struct mock_stage2 *stage2 = to_stage2(domain);
	int ret;

	for (; pgcount; pgcount--) {
		unsigned long entry = paddr / SZ_4K << ENTRY_SHIFT |
				      (prot & ENTRY_PROT);

		ret = xa_insert(&stage2->pages, iova / SZ_4K,
				xa_mk_value(entry), gfp);
		if (WARN_ON_ONCE(ret == -EBUSY) || ret)
			return ret;
		iova += SZ_4K;
		paddr += SZ_4K;
		*mapped += SZ_4K;
	}
	return 0;
}

static size_t unmap_pages(struct iommu_domain *domain, unsigned long iova,
			  size_t pgsize, size_t pgcount,
			  struct iommu_iotlb_gather *gather)
{
	struct mock_stage2 *stage2 = to_stage2(domain);
	size_t unmapped = 0;

	down_write(&stage2->lock);
	for (; pgcount; pgcount--) {
		if (!xa_erase(&stage2->pages, (iova + unmapped) / SZ_4K))
			break;
		unmapped += SZ_4K;
	}
	up_write(&stage2->lock);
	return unmapped;
}

static phys_addr_t iova_to_phys(struct iommu_domain *domain, dma_addr_t iova)
{
	void *entry = xa_load(&to_stage2(domain)->pages, iova / SZ_4K);

	if (!entry)
		return 0;
	return (phys_addr_t)(xa_to_value(entry) >> ENTRY_SHIFT) * SZ_4K +
	       iova % SZ_4K;
}

/* A container may be of the nesting type without getting nested translation. */
static int enable_nesting(struct iommu_domain *domain)
{
	return 0;
}

static void stage2_free(struct iommu_domain *domain)
{
	struct mock_stage2 *stage2 = to_stage2(domain);

	WARN_ON(!xa_empty(&stage2->pages));
	xa_destroy(&stage2->pages);
	kfree(stage2);
}

const struct iommu_domain_ops mock_stage2_ops = {
	.attach_dev = mock_attach_rid,
	.map_pages = map_pages,
	.unmap_pages = unmap_pages,
	.iova_to_phys = iova_to_phys,
	.enable_nesting = enable_nesting,
	.free = stage2_free,
};

/* Memory behind a guest-physical address, which crosses no page */
static void *locate(struct mock_stage2 *stage2, u64 gpa, int prot)
{
	unsigned long entry;
	phys_addr_t phys;
	void *value;

	lockdep_assert_held(&stage2->lock);

	value = xa_load(&stage2->pages, gpa / SZ_4K);
	if (!value)
		return NULL;
	entry = xa_to_value(value);
	if (~entry & prot)
		return NULL;

	phys = (phys_addr_t)(entry >> ENTRY_SHIFT) * SZ_4K + gpa % SZ_4K;
	/* A device's registers, say: not for us to touch */
	if (!pfn_valid(PHYS_PFN(phys)))
		return NULL;
	return page_address(pfn_to_page(PHYS_PFN(phys))) + offset_in_page(phys);
}

/**
 * mock_stage2_copy() - Access guest-physical memory
 * @stage2: what is mapped
 * @gpa: guest-physical address
 * @buf: where to or from
 * @len: bytes; do not cross a 4 KiB page
 * @write: write from @buf, otherwise read
 *
 * Return: 0, -EFAULT if there is nothing, or nothing with this permission
 */
int mock_stage2_copy(struct mock_stage2 *stage2, u64 gpa, void *buf, size_t len,
		     bool write)
{
	void *mem;

	down_read(&stage2->lock);
	mem = locate(stage2, gpa, write ? IOMMU_WRITE : IOMMU_READ);
	if (mem && write)
		memcpy(mem, buf, len);
	else if (mem)
		memcpy(buf, mem, len);
	up_read(&stage2->lock);
	return mem ? 0 : -EFAULT;
}

static int mem_load(struct mock_mem *mem, u64 gpa, u64 *val)
{
	struct mock_stage2 *stage2 = container_of(mem, struct mock_stage2, mem);
	__le64 *entry;

	down_read(&stage2->lock);
	entry = locate(stage2, gpa, IOMMU_READ);
	if (entry)
		*val = le64_to_cpu(READ_ONCE(*entry));
	up_read(&stage2->lock);
	return entry ? 0 : -EFAULT;
}

static int mem_update(struct mock_mem *mem, u64 gpa, u64 old, u64 new)
{
	struct mock_stage2 *stage2 = container_of(mem, struct mock_stage2, mem);
	/* Some architectures cast in cmpxchg64(), as only these types allow. */
	u64 was = (__force u64)cpu_to_le64(old);
	u64 is = (__force u64)cpu_to_le64(new);
	int ret = -EFAULT;
	u64 *entry;

	down_read(&stage2->lock);
	entry = locate(stage2, gpa, IOMMU_READ | IOMMU_WRITE);
	if (entry)
		ret = cmpxchg64(entry, was, is) == was ? 0 : -EAGAIN;
	up_read(&stage2->lock);
	return ret;
}

/**
 * mock_stage2_alloc() - Allocate a paging domain
 * @dev: ignored: all devices are behind the same IOMMU
 *
 * Return: the domain or NULL
 */
struct iommu_domain *mock_stage2_alloc(struct device *dev)
{
	struct mock_stage2 *stage2 = kzalloc(sizeof(*stage2),
					     GFP_KERNEL_ACCOUNT);

	if (!stage2)
		return NULL;
	init_rwsem(&stage2->lock);
	xa_init_flags(&stage2->pages, XA_FLAGS_ACCOUNT);
	stage2->mem.load = mem_load;
	stage2->mem.update = mem_update;
	stage2->domain.type = IOMMU_DOMAIN_UNMANAGED;
	stage2->domain.ops = &mock_stage2_ops;
	stage2->domain.pgsize_bitmap = SZ_4K;
	stage2->domain.geometry.aperture_end = BIT_ULL(MOCK_GPA_BITS) - 1;
	stage2->domain.geometry.force_aperture = true;
	return &stage2->domain;
}
