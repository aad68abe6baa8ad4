// SPDX-License-Identifier: GPL-2.0-only
/*
 * The worked example of Documentation/userspace-api/iommu.rst: a virtual machine
 * monitor and its guest in one small program, on mock hardware. The comments
 * "doc:" mark what the document shows.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/iommu.h>
#include <linux/vfio.h>

#include "../kselftest.h"
#include "../../../../drivers/iommu/iommu-uapi/mock/mock_uapi.h"

#define PAGE		4096ULL
#define RAM_BASE	0x40000000ULL	/* guest-physical */
#define RAM_PAGES	8
#define GUEST_VA	0x7f5500003000ULL
#define GUEST_PASID	42

/* Guest pages: page table from the highest level to the lowest, then data */
enum { PML4, PDPT, PD, PT, OLD, NEW };

static unsigned char *ram;
static int container, group, device, fault_fd;
static __u32 host_pasid;

/* doc: wrap */
struct wrapper {
	__u32 argsz;
	__u32 flags;
	__u8 data[128];
};

static int call(int fd, unsigned long request, __u32 flags, void *payload,
		__u32 size)
{
	struct wrapper wrapper = {
		.argsz = offsetof(struct wrapper, data) + size,
		.flags = flags,
	};
	int ret;

	memcpy(wrapper.data, payload, size);
	ret = ioctl(fd, request, &wrapper);
	memcpy(payload, wrapper.data, size);
	return ret;
}

/* doc: end */

/* doc: open */
static int open_container(const char *group_path, const char *device_name)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = RAM_BASE,
		.size = RAM_PAGES * PAGE,
	};

	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	group = open(group_path, O_RDWR | O_CLOEXEC);
	if (container < 0 || group < 0)
		return -1;
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_NESTING_IOMMU))
		return -1;

	/* Stage 2: guest-physical to host, as for any virtual machine */
	ram = mmap(NULL, map.size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		return -1;
	map.vaddr = (uintptr_t)ram;
	if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
		return -1;

	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, device_name);
	return device < 0 ? -1 : 0;
}

/* doc: end */

/* doc: query */
static int get_nesting_info(struct iommu_nesting_info *nesting)
{
	__u64 buf[512] = {};
	struct vfio_iommu_type1_info *info = (void *)buf;
	struct vfio_info_cap_header *cap;
	__u32 offset, size;

	info->argsz = sizeof(buf);
	if (ioctl(container, VFIO_IOMMU_GET_INFO, info))
		return -1;
	if (!(info->flags & VFIO_IOMMU_INFO_CAPS))
		return -1;

	for (offset = info->cap_offset; offset; offset = cap->next) {
		struct vfio_iommu_type1_info_cap_nesting *nest;

		cap = (void *)((char *)buf + offset);
		if (cap->id != VFIO_IOMMU_TYPE1_INFO_CAP_NESTING)
			continue;
		nest = (void *)cap;

		/* A newer kernel may tell more, an older one less */
		memcpy(&size, nest->info, sizeof(size));
		memset(nesting, 0, sizeof(*nesting));
		memcpy(nesting, nest->info,
		       size < sizeof(*nesting) ? size : sizeof(*nesting));
		return 0;
	}
	return -1;
}

/* doc: end */

/* doc: check */
static const struct iommu_payload_info wanted[] = {
	{ .id = IOMMU_PAYLOAD_PASID_REQUEST },
	{ .id = IOMMU_PAYLOAD_BIND_PGTBL, .flags = IOMMU_SVA_GPASID_VAL },
	{ .id = IOMMU_PAYLOAD_CACHE_INVALIDATE,
	  .form_flags = { 0, IOMMU_INV_ADDR_FLAGS_PASID |
			     IOMMU_INV_ADDR_FLAGS_GPASID } },
	{ .id = IOMMU_PAYLOAD_CACHE_INVALIDATE_BATCH },
	{ .id = IOMMU_PAYLOAD_PAGE_RESPONSE,
	  .flags = IOMMU_PAGE_RESP_PASID_VALID | IOMMU_PAGE_RESP_GPASID },
};

static int kernel_takes(const struct iommu_nesting_info *nesting,
			const struct iommu_payload_info *want)
{
	const struct iommu_payload_info *has = nesting->payloads;
	const struct iommu_payload_info *end = has + nesting->nr_payloads;

	while (has < end && has->id != want->id)
		has++;
	return has < end && has->version == IOMMU_UAPI_VERSION_1 &&
	       !(want->flags & ~has->flags) &&
	       !(want->form_flags[0] & ~has->form_flags[0]) &&
	       !(want->form_flags[1] & ~has->form_flags[1]);
}

static int may_start_guest(const struct iommu_nesting_info *nesting)
{
	const __u32 features = IOMMU_NESTING_FEAT_SYSWIDE_PASID |
			       IOMMU_NESTING_FEAT_BIND_PGTBL |
			       IOMMU_NESTING_FEAT_CACHE_INVLD |
			       IOMMU_NESTING_FEAT_PAGE_REQUEST;
	size_t i;

	if (nesting->format != IOMMU_PASID_FORMAT_INTEL_VTD ||
	    nesting->addr_width < 48 ||
	    (nesting->features & features) != features ||
	    !(nesting->caches & IOMMU_CACHE_INV_TYPE_IOTLB) ||
	    !(nesting->granularities & (1 << IOMMU_INV_GRANU_ADDR)))
		return 0;
	for (i = 0; i < ARRAY_SIZE(wanted); i++)
		if (!kernel_takes(nesting, &wanted[i]))
			return 0;
	return 1;
}

/* doc: end */

/* doc: bind */
static int bind_guest_table(void)
{
	struct iommu_pasid_request request = {
		.argsz = sizeof(request),
		.version = IOMMU_UAPI_VERSION_1,
		.min = 1,
		.max = UINT_MAX,
	};
	struct iommu_gpasid_bind_data bind = {
		.argsz = sizeof(bind),
		.version = IOMMU_UAPI_VERSION_1,
		.format = IOMMU_PASID_FORMAT_INTEL_VTD,
		.addr_width = 48,
		.flags = IOMMU_SVA_GPASID_VAL,
		.gpgd = RAM_BASE + PML4 * PAGE,
		.gpasid = GUEST_PASID,
	};

	if (call(container, VFIO_IOMMU_PASID_REQUEST,
		 VFIO_IOMMU_PASID_REQUEST_ALLOC, &request, sizeof(request)))
		return -1;
	host_pasid = request.pasid;

	bind.hpasid = host_pasid;
	return call(container, VFIO_IOMMU_BIND, VFIO_IOMMU_BIND_PGTBL,
		    &bind, sizeof(bind));
}

/* doc: end */

/* doc: invalidate */
static __u32 serve_invalidations(struct iommu_cache_invalidate_info *queue,
				 __u32 head, __u32 tail)
{
	struct iommu_cache_invalidate_batch batch = {
		.argsz = sizeof(batch),
		.version = IOMMU_UAPI_VERSION_1,
		.entry_size = sizeof(*queue),
		.count = tail - head,
		.entries = (uintptr_t)(queue + head),
	};

	if (call(container, VFIO_IOMMU_CACHE_INVALIDATE,
		 VFIO_IOMMU_CACHE_INVALIDATE_BATCH, &batch, sizeof(batch)))
		ksft_print_msg("entry %u: %s\n", head + batch.done,
			       strerror(errno));
	/* The guest is told of what is done, and of nothing else */
	return head + batch.done;
}

static struct iommu_cache_invalidate_info invalidate_page(__u64 va)
{
	return (struct iommu_cache_invalidate_info) {
		.argsz = sizeof(struct iommu_cache_invalidate_info),
		.version = IOMMU_UAPI_VERSION_1,
		.cache = IOMMU_CACHE_INV_TYPE_IOTLB,
		.granularity = IOMMU_INV_GRANU_ADDR,
		.granu.addr_info = {
			.flags = IOMMU_INV_ADDR_FLAGS_PASID |
				 IOMMU_INV_ADDR_FLAGS_GPASID,
			.pasid = GUEST_PASID,
			.addr = va,
			.granule_size = PAGE,
			.nb_granules = 1,
		},
	};
}

/* doc: end */

/* doc: fault */
static int open_fault_fd(void)
{
	struct vfio_device_feature_nesting_fault fault = {};

	if (call(device, VFIO_DEVICE_FEATURE, VFIO_DEVICE_FEATURE_GET |
		 VFIO_DEVICE_FEATURE_NESTING_FAULT, &fault, sizeof(fault)))
		return -1;
	return fault.fd;
}

static int next_fault(struct iommu_fault *record)
{
	struct pollfd pfd = { .fd = fault_fd, .events = POLLIN };

	if (poll(&pfd, 1, 10000) != 1)
		return -1;
	return read(fault_fd, record, sizeof(*record)) == sizeof(*record) ?
		0 : -1;
}

static int answer(const struct iommu_fault_page_request *request, __u32 code)
{
	struct iommu_page_response response = {
		.argsz = sizeof(response),
		.version = IOMMU_UAPI_VERSION_1,
		.grpid = request->grpid,
		.code = code,
	};

	if (request->flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID) {
		response.flags |= IOMMU_PAGE_RESP_PASID_VALID;
		response.pasid = request->pasid;
	}
	if (request->flags & IOMMU_FAULT_PAGE_REQUEST_GPASID)
		response.flags |= IOMMU_PAGE_RESP_GPASID;
	return write(fault_fd, &response, sizeof(response)) ==
	       sizeof(response) ? 0 : -1;
}

/* doc: end */

/* doc: unbind */
static int unbind_guest_table(void)
{
	struct iommu_gpasid_bind_data unbind = {
		.argsz = sizeof(unbind),
		.version = IOMMU_UAPI_VERSION_1,
		.flags = IOMMU_SVA_GPASID_VAL,
		.gpasid = GUEST_PASID,
	};
	struct iommu_pasid_request request = {
		.argsz = sizeof(request),
		.version = IOMMU_UAPI_VERSION_1,
		.min = host_pasid,
		.max = host_pasid,
	};

	if (call(container, VFIO_IOMMU_BIND, VFIO_IOMMU_UNBIND_PGTBL,
		 &unbind, sizeof(unbind)))
		return -1;
	return call(container, VFIO_IOMMU_PASID_REQUEST,
		    VFIO_IOMMU_PASID_REQUEST_FREE, &request, sizeof(request));
}

/* doc: end */

/* The guest: its memory, and one entry of its page table */
static __u64 *guest_page(int page)
{
	return (__u64 *)(ram + page * PAGE);
}

static void guest_map(int page)
{
	const __u64 rwu = 7;	/* present, writable, user */
	int level;

	for (level = PML4; level < PT; level++)
		guest_page(level)[GUEST_VA >> (39 - 9 * level) & 511] =
			(RAM_BASE + (level + 1) * PAGE) | rwu;
	guest_page(PT)[GUEST_VA >> 12 & 511] =
		page ? (RAM_BASE + page * PAGE) | rwu : 0;
}

/* The mock device: reads 8 bytes, or 0 if it could not */
static __u64 device_reads(__u64 va)
{
	__u64 value = 0;
	struct mock_dma dma = {
		.argsz = sizeof(dma),
		.flags = MOCK_DMA_PASID,
		.pasid = host_pasid,
		.len = sizeof(value),
		.addr = va,
		.data = (uintptr_t)&value,
	};

	if (ioctl(device, MOCK_IOC_DMA, &dma) || dma.status != MOCK_DMA_OK)
		return 0;
	return value;
}

static void example_invalidation(void)
{
	struct iommu_cache_invalidate_info queue[2] = {
		invalidate_page(GUEST_VA), invalidate_page(GUEST_VA),
	};
	struct mock_inject time_out = {
		.argsz = sizeof(time_out),
		.what = MOCK_INJECT_INV_TIMEOUT,
		.count = 1,
	};
	__u32 head = 0;

	guest_map(NEW);
	if (ioctl(device, MOCK_IOC_INJECT, &time_out))
		ksft_exit_fail_msg("inject: %s\n", strerror(errno));
	head = serve_invalidations(queue, head, 2);
	ksft_test_result(head == 0, "a failed invalidation is withheld\n");

	head = serve_invalidations(queue, head, 2);
	ksft_test_result(head == 2, "invalidations are complete\n");
	ksft_test_result(device_reads(GUEST_VA) == NEW,
			 "device sees the new page\n");
}

static void example_fault(void)
{
	struct iommu_cache_invalidate_info unmap = invalidate_page(GUEST_VA);
	struct iommu_fault record = {};

	guest_map(0);
	ksft_test_result(serve_invalidations(&unmap, 0, 1) == 1 &&
			 device_reads(GUEST_VA) == 0,
			 "device does not see a page that is gone\n");
	ksft_test_result(!next_fault(&record) &&
			 record.type == IOMMU_FAULT_DMA_UNRECOV &&
			 record.event.flags & IOMMU_FAULT_UNRECOV_ADDR_VALID &&
			 record.event.addr == GUEST_VA &&
			 record.event.flags & IOMMU_FAULT_UNRECOV_GPASID &&
			 record.event.pasid == GUEST_PASID,
			 "unrecoverable fault with the guest's PASID\n");
}

static void example_page_request(void)
{
	struct mock_page_request missing = {
		.argsz = sizeof(missing),
		.flags = MOCK_PRQ_PASID,
		.pasid = host_pasid,
		.grpid = 7,
		.addr = GUEST_VA,
		.nr = 1,
		.perm = IOMMU_FAULT_PERM_READ,
	};
	struct mock_page_response got = { .argsz = sizeof(got) };
	struct iommu_fault record = {};

	if (ioctl(device, MOCK_IOC_PAGE_REQUEST, &missing))
		ksft_exit_fail_msg("page request: %s\n", strerror(errno));
	ksft_test_result(!next_fault(&record) &&
			 record.type == IOMMU_FAULT_PAGE_REQ &&
			 record.prm.addr == GUEST_VA &&
			 record.prm.flags & IOMMU_FAULT_PAGE_REQUEST_GPASID &&
			 record.prm.pasid == GUEST_PASID,
			 "page request with the guest's PASID\n");

	guest_map(OLD);
	ksft_test_result(!answer(&record.prm, IOMMU_PAGE_RESP_SUCCESS) &&
			 !ioctl(device, MOCK_IOC_PAGE_RESPONSE, &got) &&
			 got.grpid == missing.grpid && got.code == 0,
			 "device has the answer\n");
	ksft_test_result(device_reads(GUEST_VA) == OLD,
			 "device sees the page that it asked for\n");
}

/* Path of the VFIO group of the first mock device, or NULL */
static const char *mock_group(void)
{
	static char path[64];
	char link[PATH_MAX];
	ssize_t len;

	len = readlink("/sys/bus/platform/devices/iommu-uapi-mock.0/iommu_group",
		       link, sizeof(link) - 1);
	if (len < 0)
		return NULL;
	link[len] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	return path;
}

int main(void)
{
	const char *path = mock_group();
	struct iommu_nesting_info nesting;

	ksft_print_header();
	if (!path)
		ksft_exit_skip("no mock hardware\n");
	ksft_set_plan(13);

	if (open_container(path, "iommu-uapi-mock.0"))
		ksft_exit_fail_msg("container: %s\n", strerror(errno));
	*guest_page(OLD) = OLD;
	*guest_page(NEW) = NEW;
	guest_map(OLD);

	ksft_test_result(!get_nesting_info(&nesting) &&
			 may_start_guest(&nesting), "guest may start\n");
	fault_fd = open_fault_fd();
	ksft_test_result(fault_fd >= 0, "fault file descriptor\n");
	ksft_test_result(!bind_guest_table(), "bind\n");
	ksft_test_result(device_reads(GUEST_VA) == OLD,
			 "device translates through both stages\n");

	example_invalidation();
	example_fault();
	example_page_request();

	ksft_test_result(!unbind_guest_table() && !device_reads(GUEST_VA),
			 "unbind stops the device\n");

	close(fault_fd);
	close(device);
	close(group);
	close(container);
	ksft_finished();
}
