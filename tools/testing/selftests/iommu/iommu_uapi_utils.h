/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of the IOMMU user API share. A test is virtual machine monitor
 * and guest in one: it has a container with mock devices, memory that it maps as
 * guest memory, and it builds the guest's page tables there.
 *
 * Three kinds of address exist, and no number is valid as two of them, so that a
 * missing stage of translation shows:
 *   guest virtual   what the device puts on the bus, input of stage 1
 *   guest physical  output of stage 1, input of stage 2 (GUEST_RAM and up)
 *   host virtual    what the test itself dereferences (guest_ptr())
 */
#ifndef __SELFTEST_IOMMU_UAPI_UTILS
#define __SELFTEST_IOMMU_UAPI_UTILS

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <linux/iommu.h>
#include <linux/vfio.h>

#include "../../../../drivers/iommu/iommu-uapi/mock/mock_uapi.h"

#define SZ_4K			0x1000ULL
#define SZ_2M			0x200000ULL
#define SZ_1G			0x40000000ULL

#define offsetofend(type, member) \
	(offsetof(type, member) + sizeof(((type *)NULL)->member))

/* As the "pasid" of a transaction: it carries none */
#define NO_PASID		UINT32_MAX

/* More than the hardware of any machine takes for one step of a test */
#define WAIT_MS			10000

/* ---------------------------------------------------------------------
 * Parameters of the kernel
 */
#define PARAM_MOCK(name)	"/sys/module/iommu_uapi_mock/parameters/" name
#define PARAM_PASID_QUOTA \
	"/sys/module/vfio_iommu_nesting/parameters/pasid_quota"

/* For "style" */
#define MOCK_STYLE_PGTBL	0
#define MOCK_STYLE_PASID_TABLE	1

static int param_write(const char *path, const char *value)
{
	ssize_t len = strlen(value);
	int fd = open(path, O_WRONLY);
	ssize_t ret;

	if (fd < 0)
		return -1;
	ret = write(fd, value, len);
	close(fd);
	return ret == len ? 0 : -1;
}

static int param_set(const char *path, unsigned int value)
{
	char buf[16];

	snprintf(buf, sizeof(buf), "%u", value);
	return param_write(path, buf);
}

static long param_get(const char *path)
{
	char buf[32] = {};
	int fd = open(path, O_RDONLY);
	ssize_t ret;

	if (fd < 0)
		return -1;
	ret = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	return ret > 0 ? strtol(buf, NULL, 0) : -1;
}

/*
 * Failing allocations, of slab and pages, in a thread of its own. Any may fail, and
 * that is no news for the kernel's log; false if the kernel cannot do it.
 */
static bool inject_setup(void)
{
	static const char *const settings[][2] = {
		{ "failslab/ignore-gfp-wait", "N" },
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_page_alloc/verbose", "0" },
	};
	char path[80];
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s",
			 settings[i][0]);
		if (param_write(path, settings[i][1]))
			return false;
	}
	return true;
}

static int inject_open(void)
{
	return open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
}

/* The @nth allocation from now on fails; 0: none */
static void inject_start(int fd, unsigned int nth)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%u", nth);

	/* That may fail like everything else */
	while (pwrite(fd, buf, len, 0) != len)
		;
}

/* End it. Returns whether something has failed. */
static bool inject_stop(int fd)
{
	char buf[16] = {};
	ssize_t ret = pread(fd, buf, sizeof(buf) - 1, 0);

	inject_start(fd, 0);
	return ret > 0 && !atoi(buf);
}

/*
 * The harness runs each test in a process of its own and kills it if it takes
 * too long. The process that outlives them all puts the parameters back.
 */
static struct {
	const char *path;
	long value;
} params_at_start[] = {
	{ PARAM_MOCK("plugged") },
	{ PARAM_MOCK("lack") },
	{ PARAM_MOCK("style") },
	{ PARAM_MOCK("grow") },
	{ PARAM_PASID_QUOTA },
};

static void params_restore(void)
{
	size_t i;

	for (i = 0; i < sizeof(params_at_start) / sizeof(*params_at_start); i++)
		if (params_at_start[i].value >= 0)
			param_set(params_at_start[i].path,
				  params_at_start[i].value);
}

static __attribute__((constructor)) void params_save(void)
{
	size_t i;

	for (i = 0; i < sizeof(params_at_start) / sizeof(*params_at_start); i++)
		params_at_start[i].value = param_get(params_at_start[i].path);
	atexit(params_restore);
}

static bool mock_present(void)
{
	return !access("/sys/bus/platform/devices/iommu-uapi-mock.0/iommu_group",
		       F_OK);
}

/* Whether the kernel has the user API: it may be unpatched, or have it off */
static bool user_api_present(void)
{
	return !access(PARAM_PASID_QUOTA, F_OK);
}

/* ---------------------------------------------------------------------
 * The virtual machine monitor: container, groups, devices, guest memory
 */

/*
 * Guest memory begins at a 1 GiB boundary, so that a leaf of each size can point
 * to it, with a part that guest_page() leaves alone. There is less of it than a
 * large page, since the tests map it very often.
 */
#define GUEST_RAM		(5 * SZ_1G)
#define GUEST_BIG_PAGE		GUEST_RAM
#define GUEST_BIG_PAGE_SIZE	(16 * SZ_4K)
#define GUEST_RAM_SIZE		(192 * SZ_4K)

struct vmm {
	int container;
	/* A group has the number of its first device */
	int group[MOCK_NR_DEVICES];
	int dev[MOCK_NR_DEVICES];
	/* Guest memory, and how much of it guest_page() has given out */
	__u8 *ram;
	__u64 ram_used;
};

static int mock_group_of(int n)
{
	return n < MOCK_NR_SINGLE ? n : MOCK_NR_SINGLE;
}

static int vmm_init(struct vmm *vmm)
{
	int i;

	vmm->container = -1;
	for (i = 0; i < MOCK_NR_DEVICES; i++) {
		vmm->group[i] = -1;
		vmm->dev[i] = -1;
	}
	vmm->ram_used = GUEST_BIG_PAGE_SIZE;
	vmm->ram = mmap(NULL, GUEST_RAM_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return vmm->ram == MAP_FAILED ? -1 : 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void vmm_close_fds(struct vmm *vmm)
{
	int i;

	for (i = 0; i < MOCK_NR_DEVICES; i++)
		close_fd(&vmm->dev[i]);
	for (i = 0; i < MOCK_NR_DEVICES; i++)
		close_fd(&vmm->group[i]);
	close_fd(&vmm->container);
}

static void vmm_close(struct vmm *vmm)
{
	vmm_close_fds(vmm);
	if (vmm->ram && vmm->ram != MAP_FAILED)
		munmap(vmm->ram, GUEST_RAM_SIZE);
	vmm->ram = NULL;
}

static int mock_open_group(int n)
{
	char path[80], link[256];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path),
		 "/sys/bus/platform/devices/iommu-uapi-mock.%d/iommu_group", n);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return -1;
	link[len] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd;
}

static int mock_open_device(int group, int n)
{
	char name[32];

	snprintf(name, sizeof(name), "iommu-uapi-mock.%d", n);
	return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
}

/* Bring the group of device @n into the container; the first decides on @type */
static int vmm_add_group(struct vmm *vmm, int type, int n)
{
	int *group = &vmm->group[mock_group_of(n)];
	bool first = true;
	int i;

	if (*group >= 0)
		return 0;
	for (i = 0; i < MOCK_NR_DEVICES; i++)
		if (vmm->group[i] >= 0)
			first = false;
	*group = mock_open_group(n);
	if (*group < 0)
		return -1;
	if (ioctl(*group, VFIO_GROUP_SET_CONTAINER, &vmm->container))
		return -1;
	return first ? ioctl(vmm->container, VFIO_SET_IOMMU, type) : 0;
}

static int vmm_add_device(struct vmm *vmm, int type, int n)
{
	if (vmm_add_group(vmm, type, n))
		return -1;
	vmm->dev[n] = mock_open_device(vmm->group[mock_group_of(n)], n);
	return vmm->dev[n] < 0 ? -1 : 0;
}

static int vmm_map_ram(struct vmm *vmm)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)vmm->ram,
		.iova = GUEST_RAM,
		.size = GUEST_RAM_SIZE,
	};

	return ioctl(vmm->container, VFIO_IOMMU_MAP_DMA, &map);
}

static int vmm_unmap_ram(struct vmm *vmm)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = GUEST_RAM,
		.size = GUEST_RAM_SIZE,
	};

	return ioctl(vmm->container, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

/* A container of @type with the devices of the mask @devices and with memory */
static int vmm_open(struct vmm *vmm, int type, unsigned int devices)
{
	int i;

	if (!vmm->ram && vmm_init(vmm))
		return -1;
	vmm->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (vmm->container < 0)
		return -1;
	for (i = 0; i < MOCK_NR_DEVICES; i++)
		if (devices & (1 << i) && vmm_add_device(vmm, type, i))
			return -1;
	return vmm_map_ram(vmm);
}

/* ---------------------------------------------------------------------
 * The guest: memory and page tables
 */
static void *guest_ptr(struct vmm *vmm, __u64 gpa)
{
	return vmm->ram + (gpa - GUEST_RAM);
}

/* A zeroed page of guest memory, by its guest-physical address */
static __u64 guest_page(struct vmm *vmm)
{
	__u64 gpa = GUEST_RAM + vmm->ram_used;

	if (vmm->ram_used == GUEST_RAM_SIZE) {
		fprintf(stderr, "# the test uses more guest pages than there are\n");
		abort();
	}
	vmm->ram_used += SZ_4K;
	memset(guest_ptr(vmm, gpa), 0, SZ_4K);
	return gpa;
}

static __u64 guest_read(struct vmm *vmm, __u64 gpa)
{
	return *(volatile __u64 *)guest_ptr(vmm, gpa);
}

static void guest_write(struct vmm *vmm, __u64 gpa, __u64 value)
{
	*(volatile __u64 *)guest_ptr(vmm, gpa) = value;
}

enum guest_pt_format {
	GUEST_PT_VTD,	/* VT-d first-stage tables: those of x86 */
	GUEST_PT_ARM,	/* VMSAv8-64, 4 KiB granule, 48 bits */
};

/* A page table of the guest */
struct guest_pt {
	struct vmm *vmm;
	enum guest_pt_format format;
	int levels;
	__u64 root;
};

/* VT-d specification, section 9.7 */
#define VTD_P			(1ULL << 0)
#define VTD_W			(1ULL << 1)
#define VTD_U			(1ULL << 2)
#define VTD_A			(1ULL << 5)
#define VTD_D			(1ULL << 6)
#define VTD_PS			(1ULL << 7)
#define VTD_RW			(VTD_P | VTD_W | VTD_U)
#define VTD_RO			(VTD_P | VTD_U)

/* VMSAv8-64 translation table descriptors */
#define ARM_VALID		(1ULL << 0)
#define ARM_TABLE		(1ULL << 1)	/* in the last level: page */
#define ARM_EL0			(1ULL << 6)
#define ARM_RDONLY		(1ULL << 7)
#define ARM_SH_IS		(3ULL << 8)
#define ARM_AF			(1ULL << 10)
#define ARM_NG			(1ULL << 11)
#define ARM_RW			(ARM_VALID | ARM_EL0 | ARM_SH_IS | ARM_AF | ARM_NG)
#define ARM_RO			(ARM_RW | ARM_RDONLY)

#define PT_ADDR			0x000ffffffffff000ULL

static void guest_pt_init(struct guest_pt *pt, struct vmm *vmm,
			  enum guest_pt_format format, int levels)
{
	pt->vmm = vmm;
	pt->format = format;
	pt->levels = levels;
	pt->root = guest_page(vmm);
}

/*
 * Guest-physical address of the entry that translates @va in level @level (1:
 * 4 KiB, 2: 2 MiB, 3: 1 GiB). Tables on the way are made.
 */
static __u64 guest_pt_entry(struct guest_pt *pt, __u64 va, int level)
{
	__u64 table = pt->root;
	int l;

	for (l = pt->levels;; l--) {
		__u64 gpa = table + ((va >> (12 + 9 * (l - 1))) & 511) * 8;
		__u64 entry = guest_read(pt->vmm, gpa);

		if (l == level)
			return gpa;
		if (!(entry & 1)) {
			entry = guest_page(pt->vmm);
			entry |= pt->format == GUEST_PT_VTD ?
				VTD_RW : ARM_VALID | ARM_TABLE;
			guest_write(pt->vmm, gpa, entry);
		}
		table = entry & PT_ADDR;
	}
}

/* Map @va by a leaf of @level to @gpa; @bits are those of the format */
static void guest_map_level(struct guest_pt *pt, __u64 va, __u64 gpa,
			    __u64 bits, int level)
{
	if (pt->format == GUEST_PT_VTD && level > 1)
		bits |= VTD_PS;
	if (pt->format == GUEST_PT_ARM && level == 1)
		bits |= ARM_TABLE;
	guest_write(pt->vmm, guest_pt_entry(pt, va, level), gpa | bits);
}

static void guest_map(struct guest_pt *pt, __u64 va, __u64 gpa)
{
	guest_map_level(pt, va, gpa,
			pt->format == GUEST_PT_VTD ? VTD_RW : ARM_RW, 1);
}

static void guest_unmap(struct guest_pt *pt, __u64 va)
{
	guest_write(pt->vmm, guest_pt_entry(pt, va, 1), 0);
}

/* ---------------------------------------------------------------------
 * Calls: the same for a container and for one device
 */
struct scope {
	int fd;
	bool device;
};

static struct scope container_scope(const struct vmm *vmm)
{
	return (struct scope){ .fd = vmm->container };
}

static struct scope device_scope(const struct vmm *vmm, int n)
{
	return (struct scope){ .fd = vmm->dev[n], .device = true };
}

enum nesting_op {
	OP_PASID_ALLOC,
	OP_PASID_FREE,
	OP_BIND_PGTBL,
	OP_UNBIND_PGTBL,
	OP_BIND_PASID_TABLE,
	OP_UNBIND_PASID_TABLE,
	OP_INVALIDATE,
	OP_INVALIDATE_BATCH,
};

static const struct {
	unsigned long request;
	__u32 flag;
	__u32 feature;
} nesting_ops[] = {
	[OP_PASID_ALLOC] = {
		VFIO_IOMMU_PASID_REQUEST, VFIO_IOMMU_PASID_REQUEST_ALLOC,
	},
	[OP_PASID_FREE] = {
		VFIO_IOMMU_PASID_REQUEST, VFIO_IOMMU_PASID_REQUEST_FREE,
	},
	[OP_BIND_PGTBL] = {
		VFIO_IOMMU_BIND, VFIO_IOMMU_BIND_PGTBL,
		VFIO_DEVICE_FEATURE_BIND_PGTBL,
	},
	[OP_UNBIND_PGTBL] = {
		VFIO_IOMMU_BIND, VFIO_IOMMU_UNBIND_PGTBL,
		VFIO_DEVICE_FEATURE_UNBIND_PGTBL,
	},
	[OP_BIND_PASID_TABLE] = {
		VFIO_IOMMU_BIND, VFIO_IOMMU_BIND_PASID_TABLE,
		VFIO_DEVICE_FEATURE_BIND_PASID_TABLE,
	},
	[OP_UNBIND_PASID_TABLE] = {
		VFIO_IOMMU_BIND, VFIO_IOMMU_UNBIND_PASID_TABLE,
		VFIO_DEVICE_FEATURE_UNBIND_PASID_TABLE,
	},
	[OP_INVALIDATE] = {
		VFIO_IOMMU_CACHE_INVALIDATE, VFIO_IOMMU_CACHE_INVALIDATE_ONE,
		VFIO_DEVICE_FEATURE_CACHE_INVALIDATE,
	},
	[OP_INVALIDATE_BATCH] = {
		VFIO_IOMMU_CACHE_INVALIDATE, VFIO_IOMMU_CACHE_INVALIDATE_BATCH,
		VFIO_DEVICE_FEATURE_CACHE_INVALIDATE_BATCH,
	},
};

/* All wrappers begin like this one, that of device features included */
struct wrapper {
	__u32 argsz;
	__u32 flags;
	__u8 data[];
};

static __u32 nesting_flags(struct scope scope, enum nesting_op op)
{
	return scope.device ? VFIO_DEVICE_FEATURE_SET | nesting_ops[op].feature :
			      nesting_ops[op].flag;
}

/* Call with a wrapper that the caller has filled in */
static int nesting_ioctl(struct scope scope, enum nesting_op op, void *wrapper)
{
	return ioctl(scope.fd, scope.device ? VFIO_DEVICE_FEATURE :
					      nesting_ops[op].request, wrapper);
}

#define WRAPPER_ROOM	8192

/* Wrap @size bytes of @payload, call, and take back what the kernel wrote */
static int nesting_call(struct scope scope, enum nesting_op op, void *payload,
			size_t size)
{
	__u8 buf[sizeof(struct wrapper) + WRAPPER_ROOM]
		__attribute__((aligned(8)));
	struct wrapper *wrapper = (struct wrapper *)buf;
	int ret;

	wrapper->argsz = sizeof(*wrapper) + size;
	wrapper->flags = nesting_flags(scope, op);
	memcpy(wrapper->data, payload, size);
	ret = nesting_ioctl(scope, op, wrapper);
	memcpy(payload, wrapper->data, size);
	return ret;
}

static int _test_cmd_pasid_alloc(int container, __u32 min, __u32 max,
				 __u32 *pasid)
{
	struct iommu_pasid_request req = {
		.argsz = sizeof(req),
		.version = IOMMU_UAPI_VERSION_1,
		.min = min,
		.max = max,
	};
	int ret = nesting_call((struct scope){ .fd = container },
			       OP_PASID_ALLOC, &req, sizeof(req));

	if (!ret)
		*pasid = req.pasid;
	return ret;
}

static int _test_cmd_pasid_free(int container, __u32 min, __u32 max)
{
	struct iommu_pasid_request req = {
		.argsz = sizeof(req),
		.version = IOMMU_UAPI_VERSION_1,
		.min = min,
		.max = max,
	};

	return nesting_call((struct scope){ .fd = container },
			    OP_PASID_FREE, &req, sizeof(req));
}

/* The request that binds @pt to @pasid (NO_PASID: to requests without) */
static struct iommu_gpasid_bind_data bind_data(const struct guest_pt *pt,
					       __u32 pasid)
{
	return (struct iommu_gpasid_bind_data) {
		.argsz = sizeof(struct iommu_gpasid_bind_data),
		.version = IOMMU_UAPI_VERSION_1,
		.format = IOMMU_PASID_FORMAT_INTEL_VTD,
		.addr_width = pt->levels == 5 ? 57 : 48,
		.flags = pasid == NO_PASID ? IOMMU_SVA_NO_PASID : 0,
		.gpgd = pt->root,
		.hpasid = pasid == NO_PASID ? 0 : pasid,
	};
}

static int _test_cmd_bind_data(struct scope scope,
			       const struct iommu_gpasid_bind_data *data)
{
	struct iommu_gpasid_bind_data copy = *data;

	return nesting_call(scope, OP_BIND_PGTBL, &copy, sizeof(copy));
}

static int _test_cmd_unbind_data(struct scope scope,
				 const struct iommu_gpasid_bind_data *data)
{
	struct iommu_gpasid_bind_data copy = *data;

	return nesting_call(scope, OP_UNBIND_PGTBL, &copy, sizeof(copy));
}

static int _test_cmd_bind(struct scope scope, const struct guest_pt *pt,
			  __u32 pasid)
{
	struct iommu_gpasid_bind_data data = bind_data(pt, pasid);

	return _test_cmd_bind_data(scope, &data);
}

static int _test_cmd_bind_gpasid(struct scope scope, const struct guest_pt *pt,
				 __u32 pasid, __u32 gpasid)
{
	struct iommu_gpasid_bind_data data = bind_data(pt, pasid);

	data.flags |= IOMMU_SVA_GPASID_VAL;
	data.gpasid = gpasid;
	return _test_cmd_bind_data(scope, &data);
}

static int _test_cmd_unbind(struct scope scope, __u32 pasid)
{
	struct iommu_gpasid_bind_data data = {
		.argsz = offsetofend(struct iommu_gpasid_bind_data, gpasid),
		.version = IOMMU_UAPI_VERSION_1,
		.flags = pasid == NO_PASID ? IOMMU_SVA_NO_PASID : 0,
		.hpasid = pasid == NO_PASID ? 0 : pasid,
	};

	return _test_cmd_unbind_data(scope, &data);
}

static int _test_cmd_unbind_gpasid(struct scope scope, __u32 gpasid)
{
	struct iommu_gpasid_bind_data data = {
		.argsz = offsetofend(struct iommu_gpasid_bind_data, gpasid),
		.version = IOMMU_UAPI_VERSION_1,
		.flags = IOMMU_SVA_GPASID_VAL,
		.gpasid = gpasid,
	};

	return _test_cmd_unbind_data(scope, &data);
}

static struct iommu_cache_invalidate_info inv_domain(__u8 cache)
{
	return (struct iommu_cache_invalidate_info) {
		.argsz = offsetof(struct iommu_cache_invalidate_info, granu),
		.version = IOMMU_UAPI_VERSION_1,
		.cache = cache,
		.granularity = IOMMU_INV_GRANU_DOMAIN,
	};
}

static struct iommu_cache_invalidate_info inv_pasid(__u8 cache, __u32 pasid)
{
	return (struct iommu_cache_invalidate_info) {
		.argsz = offsetofend(struct iommu_cache_invalidate_info,
				     granu.pasid_info),
		.version = IOMMU_UAPI_VERSION_1,
		.cache = cache,
		.granularity = IOMMU_INV_GRANU_PASID,
		.granu.pasid_info = {
			.flags = pasid == NO_PASID ?
				 IOMMU_INV_PASID_FLAGS_NO_PASID :
				 IOMMU_INV_PASID_FLAGS_PASID,
			.pasid = pasid == NO_PASID ? 0 : pasid,
		},
	};
}

static struct iommu_cache_invalidate_info inv_addr(__u8 cache, __u32 pasid,
						   __u64 addr, __u64 granule,
						   __u64 nb_granules)
{
	return (struct iommu_cache_invalidate_info) {
		.argsz = offsetofend(struct iommu_cache_invalidate_info,
				     granu.addr_info),
		.version = IOMMU_UAPI_VERSION_1,
		.cache = cache,
		.granularity = IOMMU_INV_GRANU_ADDR,
		.granu.addr_info = {
			.flags = pasid == NO_PASID ?
				 IOMMU_INV_ADDR_FLAGS_NO_PASID :
				 IOMMU_INV_ADDR_FLAGS_PASID,
			.pasid = pasid == NO_PASID ? 0 : pasid,
			.addr = addr,
			.granule_size = granule,
			.nb_granules = nb_granules,
		},
	};
}

static int _test_cmd_inv(struct scope scope,
			 struct iommu_cache_invalidate_info inv)
{
	return nesting_call(scope, OP_INVALIDATE, &inv, sizeof(inv));
}

/* @done is written also when the call fails */
static int _test_cmd_inv_batch(struct scope scope, const void *entries,
			       __u32 entry_size, __u32 count, __u32 *done)
{
	struct iommu_cache_invalidate_batch batch = {
		.argsz = sizeof(batch),
		.version = IOMMU_UAPI_VERSION_1,
		.entry_size = entry_size,
		.count = count,
		.entries = (uintptr_t)entries,
	};
	int ret = nesting_call(scope, OP_INVALIDATE_BATCH, &batch,
			       sizeof(batch));

	*done = batch.done;
	return ret;
}

static struct iommu_pasid_table_config table_config(__u8 config, __u64 base,
						    __u8 pasid_bits)
{
	return (struct iommu_pasid_table_config) {
		.argsz = sizeof(struct iommu_pasid_table_config),
		.version = IOMMU_UAPI_VERSION_1,
		.format = IOMMU_PASID_FORMAT_ARM_SMMUV3,
		.pasid_bits = pasid_bits,
		.config = config,
		.base_ptr = base,
		.vendor.smmuv3 = {
			.s1fmt = IOMMU_PASID_SMMUV3_S1FMT_LINEAR,
			.s1dss = pasid_bits ? IOMMU_PASID_SMMUV3_S1DSS_SSID0 : 0,
		},
	};
}

static int _test_cmd_bind_table(struct scope scope,
				struct iommu_pasid_table_config cfg)
{
	return nesting_call(scope, OP_BIND_PASID_TABLE, &cfg, sizeof(cfg));
}

static int _test_cmd_unbind_table(struct scope scope)
{
	struct iommu_pasid_table_config cfg = {
		.argsz = offsetofend(struct iommu_pasid_table_config, padding),
		.version = IOMMU_UAPI_VERSION_1,
	};

	return nesting_call(scope, OP_UNBIND_PASID_TABLE, &cfg, sizeof(cfg));
}

/* The nesting capability of a container; ENOENT if it has none */
static int _test_cmd_get_nesting_cap(int container,
				     struct iommu_nesting_info *nesting)
{
	__u8 buf[4096] __attribute__((aligned(8))) = {};
	struct vfio_iommu_type1_info *info = (void *)buf;
	__u32 next;

	info->argsz = sizeof(buf);
	if (ioctl(container, VFIO_IOMMU_GET_INFO, info))
		return -1;
	next = info->flags & VFIO_IOMMU_INFO_CAPS ? info->cap_offset : 0;
	while (next) {
		struct vfio_iommu_type1_info_cap_nesting *cap =
			(void *)(buf + next);

		if (cap->header.id == VFIO_IOMMU_TYPE1_INFO_CAP_NESTING) {
			memcpy(nesting, cap->info, sizeof(*nesting));
			return 0;
		}
		next = cap->header.next;
	}
	errno = ENOENT;
	return -1;
}

/* @room bytes of the nesting information of a device */
static int _test_cmd_get_device_info(int dev, void *info, __u32 room)
{
	__u8 buf[sizeof(struct wrapper) + WRAPPER_ROOM]
		__attribute__((aligned(8)));
	struct wrapper *wrapper = (struct wrapper *)buf;
	int ret;

	wrapper->argsz = sizeof(*wrapper) + room;
	wrapper->flags = VFIO_DEVICE_FEATURE_GET |
			 VFIO_DEVICE_FEATURE_NESTING_INFO;
	memcpy(wrapper->data, info, room);
	ret = ioctl(dev, VFIO_DEVICE_FEATURE, wrapper);
	memcpy(info, wrapper->data, room);
	return ret;
}

/* ---------------------------------------------------------------------
 * The mock device
 */
static struct mock_stats mock_stats(int dev)
{
	struct mock_stats stats = { .argsz = sizeof(stats) };

	if (ioctl(dev, MOCK_IOC_STATS, &stats))
		memset(&stats, 0xff, sizeof(stats));
	return stats;
}

static int _test_cmd_inject(int dev, __u32 flags, __u32 what, __u32 count)
{
	struct mock_inject inject = {
		.argsz = sizeof(inject),
		.flags = flags,
		.what = what,
		.count = count,
	};

	return ioctl(dev, MOCK_IOC_INJECT, &inject);
}

/* One transaction. Returns MOCK_DMA_STATUS_*, or -1. */
static int mock_dma(int dev, __u32 flags, __u32 pasid, __u64 addr, void *data,
		    __u32 len)
{
	struct mock_dma dma = {
		.argsz = sizeof(dma),
		.flags = flags | (pasid == NO_PASID ? 0 : MOCK_DMA_PASID),
		.pasid = pasid == NO_PASID ? 0 : pasid,
		.len = len,
		.addr = addr,
		.data = (uintptr_t)data,
	};

	if (ioctl(dev, MOCK_IOC_DMA, &dma))
		return -1;
	if (dma.status == MOCK_DMA_OK && dma.done != len)
		return -1;
	return dma.status;
}

static int mock_dma_read(int dev, __u32 flags, __u32 pasid, __u64 addr,
			 __u64 *value)
{
	return mock_dma(dev, flags, pasid, addr, value, sizeof(*value));
}

static int mock_dma_write(int dev, __u32 flags, __u32 pasid, __u64 addr,
			  __u64 value)
{
	return mock_dma(dev, flags | MOCK_DMA_WRITE, pasid, addr, &value,
			sizeof(value));
}

/* A value that was nowhere before */
static __u64 fresh_value(void)
{
	static __u64 value = 0x5a17c0de00000000ULL;

	return ++value;
}

/* A transaction in a thread of its own, for one that waits for a page */
struct dma_thread {
	pthread_t thread;
	int dev;
	__u32 flags;
	__u32 pasid;
	__u64 addr;
	__u64 value;
	int status;
	int error;
};

static void *dma_thread_fn(void *arg)
{
	struct dma_thread *dma = arg;

	dma->status = mock_dma(dma->dev, dma->flags, dma->pasid, dma->addr,
			       &dma->value, sizeof(dma->value));
	dma->error = errno;
	return NULL;
}

static int dma_thread_start(struct dma_thread *dma)
{
	dma->status = -1;
	return pthread_create(&dma->thread, NULL, dma_thread_fn, dma);
}

/* Wait for the transaction for a bounded time */
static int dma_thread_join(struct dma_thread *dma)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_MS / 1000;
	return pthread_timedjoin_np(dma->thread, NULL, &until);
}

static int _test_cmd_page_request(int dev, __u32 flags, __u32 pasid,
				  __u32 grpid, __u64 addr, __u32 nr, __u32 perm)
{
	struct mock_page_request req = {
		.argsz = sizeof(req),
		.flags = flags | (pasid == NO_PASID ? 0 : MOCK_PRQ_PASID),
		.pasid = pasid == NO_PASID ? 0 : pasid,
		.grpid = grpid,
		.addr = addr,
		.nr = nr,
		.perm = perm,
	};

	return ioctl(dev, MOCK_IOC_PAGE_REQUEST, &req);
}

static __u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

static void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

/* What goes on in a thread of its own, beside the test */
struct beside {
	pthread_t thread;
	int (*fn)(void *arg);
	void *arg;
	int ret;
	bool done;
};

static void *beside_fn(void *arg)
{
	struct beside *beside = arg;

	beside->ret = beside->fn(beside->arg);
	__atomic_store_n(&beside->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static int beside_start(struct beside *beside, int (*fn)(void *arg), void *arg)
{
	*beside = (struct beside) { .fn = fn, .arg = arg };
	return pthread_create(&beside->thread, NULL, beside_fn, beside);
}

/* Whether it is done, now or soon */
static bool beside_is_done(struct beside *beside, int ms)
{
	while (!__atomic_load_n(&beside->done, __ATOMIC_ACQUIRE) && ms-- > 0)
		sleep_ms(1);
	return __atomic_load_n(&beside->done, __ATOMIC_ACQUIRE);
}

static int beside_end(struct beside *beside)
{
	return pthread_join(beside->thread, NULL) ? -1 : beside->ret;
}

/* A call that may have to wait for another */
struct call_thread {
	struct beside beside;
	struct scope scope;
	enum nesting_op op;
	void *payload;
	size_t size;
};

static int call_fn(void *arg)
{
	struct call_thread *call = arg;

	return nesting_call(call->scope, call->op, call->payload, call->size) ?
	       errno : 0;
}

static int call_start(struct call_thread *call, struct scope scope,
		      enum nesting_op op, void *payload, size_t size)
{
	call->scope = scope;
	call->op = op;
	call->payload = payload;
	call->size = size;
	return beside_start(&call->beside, call_fn, call);
}

static bool call_is_back(struct call_thread *call, int ms)
{
	return beside_is_done(&call->beside, ms);
}

/* Its error, 0 for none */
static int call_end(struct call_thread *call)
{
	return beside_end(&call->beside);
}

/* The bind that MOCK_INJECT_BIND_HELD holds is in force */
static bool bind_is_held(int dev)
{
	int ms = WAIT_MS;

	while (mock_stats(dev).bonds != 1 && ms-- > 0)
		sleep_ms(1);
	return mock_stats(dev).bonds == 1;
}

/* Another container, with device 2 */
static int container_comes_and_goes(void *arg)
{
	struct vmm vmm = {};
	int ret = vmm_open(&vmm, VFIO_TYPE1_NESTING_IOMMU, 1 << 2);

	vmm_close(&vmm);
	return ret;
}

/* The next page response that the device gets; ETIMEDOUT if it gets none */
static int _test_cmd_device_gets(int dev, struct mock_page_response *resp)
{
	int i;

	for (i = 0; i < WAIT_MS / 2; i++) {
		memset(resp, 0, sizeof(*resp));
		resp->argsz = sizeof(*resp);
		if (!ioctl(dev, MOCK_IOC_PAGE_RESPONSE, resp))
			return 0;
		if (errno != EAGAIN)
			return -1;
		sleep_ms(2);
	}
	errno = ETIMEDOUT;
	return -1;
}

/* ---------------------------------------------------------------------
 * The fault file descriptor of a device
 */
static int fault_open(int dev)
{
	__u8 buf[sizeof(struct wrapper) +
		 sizeof(struct vfio_device_feature_nesting_fault)]
		__attribute__((aligned(8))) = {};
	struct wrapper *wrapper = (struct wrapper *)buf;
	struct vfio_device_feature_nesting_fault *fault =
		(void *)wrapper->data;

	wrapper->argsz = sizeof(buf);
	wrapper->flags = VFIO_DEVICE_FEATURE_GET |
			 VFIO_DEVICE_FEATURE_NESTING_FAULT;
	if (ioctl(dev, VFIO_DEVICE_FEATURE, wrapper))
		return -1;
	return fault->fd;
}

static void set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

/* Wait for events of @fd for a bounded time; returns those that came, or 0 */
static int fd_wait(int fd, short events, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	return poll(&pfd, 1, ms) == 1 ? pfd.revents : 0;
}

/* The next record; ETIMEDOUT if none comes */
static int _test_cmd_fault_read(int fd, struct iommu_fault *record)
{
	ssize_t ret;

	memset(record, 0xff, sizeof(*record));
	if (!(fd_wait(fd, POLLIN, WAIT_MS) & POLLIN)) {
		errno = ETIMEDOUT;
		return -1;
	}
	ret = read(fd, record, sizeof(*record));
	if (ret == sizeof(*record))
		return 0;
	if (ret >= 0)
		errno = ENODATA;
	return -1;
}

static struct iommu_page_response page_response(__u32 flags, __u32 pasid,
						__u32 grpid, __u32 code)
{
	return (struct iommu_page_response) {
		.argsz = sizeof(struct iommu_page_response),
		.version = IOMMU_UAPI_VERSION_1,
		.flags = flags | (pasid == NO_PASID ? 0 :
				  IOMMU_PAGE_RESP_PASID_VALID),
		.pasid = pasid == NO_PASID ? 0 : pasid,
		.grpid = grpid,
		.code = code,
	};
}

static int _test_cmd_respond(int fd, __u32 flags, __u32 pasid, __u32 grpid,
			     __u32 code)
{
	struct iommu_page_response resp = page_response(flags, pasid, grpid,
							code);
	ssize_t ret = write(fd, &resp, sizeof(resp));

	if (ret >= 0 && ret != sizeof(resp)) {
		errno = ENODATA;
		return -1;
	}
	return ret < 0 ? -1 : 0;
}

/* ---------------------------------------------------------------------
 * Trace events, in a ring buffer of the test's own
 */
#define TRACE_INSTANCE	"/sys/kernel/tracing/instances/iommu_uapi_test"
#define TRACE_ENABLE	TRACE_INSTANCE "/events/iommu_uapi/enable"

/* How often @text stands in the trace */
static int traced(const char *text)
{
	FILE *trace = fopen(TRACE_INSTANCE "/trace", "r");
	char line[512];
	int count = 0;

	if (!trace)
		return -1;
	while (fgets(line, sizeof(line), trace))
		count += !!strstr(line, text);
	fclose(trace);
	return count;
}

/* ---------------------------------------------------------------------
 * Sentences. They take "self" from the test, as those of iommufd do.
 */
#ifdef __KSELFTEST_HARNESS_H

#define EXPECT_ERRNO(expected_errno, call)				\
	({								\
		int _ret, _err;						\
									\
		errno = 0;						\
		_ret = (call);						\
		_err = errno;						\
		EXPECT_EQ(-1, _ret) {					\
			TH_LOG("should have failed: %s", #call);	\
		}							\
		if (_ret == -1) {					\
			EXPECT_EQ(expected_errno, _err) {		\
				TH_LOG("errno %d (%s) of %s", _err,	\
				       strerror(_err), #call);		\
			}						\
		}							\
	})

#define ASSERT_DONE(call)						\
	({								\
		int _ret = (call);					\
									\
		ASSERT_EQ(0, _ret) {					\
			TH_LOG("%s: %s", #call, strerror(errno));	\
		}							\
	})

#define test_cmd_pasid_alloc(container, min, max, pasid)		\
	ASSERT_DONE(_test_cmd_pasid_alloc(container, min, max, pasid))
#define test_err_pasid_alloc(_errno, container, min, max)		\
	({								\
		__u32 _pasid;						\
									\
		EXPECT_ERRNO(_errno, _test_cmd_pasid_alloc(container,	\
							   min, max,	\
							   &_pasid));	\
	})
#define test_cmd_pasid_free(container, min, max)			\
	ASSERT_DONE(_test_cmd_pasid_free(container, min, max))
#define test_err_pasid_free(_errno, container, min, max)		\
	EXPECT_ERRNO(_errno, _test_cmd_pasid_free(container, min, max))

#define test_cmd_bind(scope, pt, pasid)					\
	ASSERT_DONE(_test_cmd_bind(scope, pt, pasid))
#define test_err_bind(_errno, scope, pt, pasid)				\
	EXPECT_ERRNO(_errno, _test_cmd_bind(scope, pt, pasid))
#define test_cmd_bind_data(scope, data)					\
	ASSERT_DONE(_test_cmd_bind_data(scope, data))
#define test_err_bind_data(_errno, scope, data)				\
	EXPECT_ERRNO(_errno, _test_cmd_bind_data(scope, data))
#define test_cmd_bind_gpasid(scope, pt, pasid, gpasid)			\
	ASSERT_DONE(_test_cmd_bind_gpasid(scope, pt, pasid, gpasid))
#define test_err_bind_gpasid(_errno, scope, pt, pasid, gpasid)		\
	EXPECT_ERRNO(_errno, _test_cmd_bind_gpasid(scope, pt, pasid, gpasid))
#define test_cmd_unbind(scope, pasid)					\
	ASSERT_DONE(_test_cmd_unbind(scope, pasid))
#define test_err_unbind(_errno, scope, pasid)				\
	EXPECT_ERRNO(_errno, _test_cmd_unbind(scope, pasid))
#define test_cmd_unbind_data(scope, data)				\
	ASSERT_DONE(_test_cmd_unbind_data(scope, data))
#define test_err_unbind_data(_errno, scope, data)			\
	EXPECT_ERRNO(_errno, _test_cmd_unbind_data(scope, data))
#define test_cmd_unbind_gpasid(scope, gpasid)				\
	ASSERT_DONE(_test_cmd_unbind_gpasid(scope, gpasid))
#define test_err_unbind_gpasid(_errno, scope, gpasid)			\
	EXPECT_ERRNO(_errno, _test_cmd_unbind_gpasid(scope, gpasid))

#define test_cmd_bind_table(scope, cfg)					\
	ASSERT_DONE(_test_cmd_bind_table(scope, cfg))
#define test_err_bind_table(_errno, scope, cfg)				\
	EXPECT_ERRNO(_errno, _test_cmd_bind_table(scope, cfg))
#define test_cmd_unbind_table(scope)					\
	ASSERT_DONE(_test_cmd_unbind_table(scope))
#define test_err_unbind_table(_errno, scope)				\
	EXPECT_ERRNO(_errno, _test_cmd_unbind_table(scope))

#define test_cmd_inv(scope, inv)					\
	ASSERT_DONE(_test_cmd_inv(scope, inv))
#define test_err_inv(_errno, scope, inv)				\
	EXPECT_ERRNO(_errno, _test_cmd_inv(scope, inv))

/* All of @count entries are done */
#define test_cmd_inv_batch(scope, entries, entry_size, count)		\
	({								\
		__u32 _done = ~0U;					\
									\
		ASSERT_DONE(_test_cmd_inv_batch(scope, entries,		\
						entry_size, count,	\
						&_done));		\
		EXPECT_EQ(count, _done);				\
	})
/* The first @expected_done are done, then something is wrong */
#define test_err_inv_batch(_errno, expected_done, scope, entries,	\
			   entry_size, count)				\
	({								\
		__u32 _done = ~0U;					\
									\
		EXPECT_ERRNO(_errno, _test_cmd_inv_batch(scope, entries,\
							 entry_size,	\
							 count,		\
							 &_done));	\
		EXPECT_EQ(expected_done, _done);			\
	})

#define test_cmd_inject(dev, what, count)				\
	ASSERT_DONE(_test_cmd_inject(dev, 0, what, count))
/* The next one succeeds, those after it do not */
#define test_cmd_inject_after_one(dev, what, count)			\
	ASSERT_DONE(_test_cmd_inject(dev, MOCK_INJECT_AFTER_ONE, what,	\
				     count))

/* The device reads at @va what is in guest memory at @gpa */
#define test_dma_read_flags(dev, flags, pasid, va, gpa)			\
	({								\
		__u64 _want = fresh_value(), _got = 0;			\
		int _status;						\
									\
		guest_write(&self->vmm, gpa, _want);			\
		_status = mock_dma_read(dev, flags, pasid, va, &_got);	\
		EXPECT_EQ(MOCK_DMA_OK, _status);			\
		EXPECT_EQ(_want, _got);					\
	})
#define test_dma_read(dev, pasid, va, gpa)				\
	test_dma_read_flags(dev, 0, pasid, va, gpa)

/* What the device writes at @va is found in guest memory at @gpa */
#define test_dma_write_flags(dev, flags, pasid, va, gpa)		\
	({								\
		__u64 _want = fresh_value();				\
		int _status = mock_dma_write(dev, flags, pasid, va,	\
					     _want);			\
									\
		EXPECT_EQ(MOCK_DMA_OK, _status);			\
		EXPECT_EQ(_want, guest_read(&self->vmm, gpa));		\
	})
#define test_dma_write(dev, pasid, va, gpa)				\
	test_dma_write_flags(dev, 0, pasid, va, gpa)

#define test_dma(dev, pasid, va, gpa)					\
	({								\
		test_dma_write(dev, pasid, va, gpa);			\
		test_dma_read(dev, pasid, va, gpa);			\
	})

/* The device neither reads nor writes */
#define test_dma_stopped_flags(_status, dev, flags, pasid, va)		\
	({								\
		__u64 _got = 0;						\
									\
		EXPECT_EQ(_status, mock_dma_read(dev, flags, pasid, va,	\
						 &_got));		\
		EXPECT_EQ(0, _got);					\
		EXPECT_EQ(_status, mock_dma_write(dev, flags, pasid,	\
						  va, fresh_value()));	\
	})
#define test_dma_stopped(_status, dev, pasid, va)			\
	test_dma_stopped_flags(_status, dev, 0, pasid, va)

#define test_cmd_page_request(dev, flags, pasid, grpid, addr, nr, perm)	\
	ASSERT_DONE(_test_cmd_page_request(dev, flags, pasid, grpid,	\
					   addr, nr, perm))

/* The device gets the response @_code to a group, and nothing else before it */
#define test_device_gets(_code, dev, _pasid, _grpid)			\
	({								\
		struct mock_page_response _resp;			\
									\
		ASSERT_DONE(_test_cmd_device_gets(dev, &_resp));	\
		EXPECT_EQ(_code, _resp.code);				\
		EXPECT_EQ(_grpid, _resp.grpid);				\
		EXPECT_EQ((_pasid) == NO_PASID ? 0 : MOCK_PRQ_PASID,	\
			  _resp.flags);					\
		EXPECT_EQ((_pasid) == NO_PASID ? 0 : (_pasid),		\
			  _resp.pasid);					\
	})

/* The device has got no further response */
#define test_device_gets_nothing(dev)					\
	({								\
		struct mock_page_response _resp = {			\
			.argsz = sizeof(_resp),				\
		};							\
									\
		EXPECT_ERRNO(EAGAIN, ioctl(dev, MOCK_IOC_PAGE_RESPONSE,	\
					   &_resp));			\
	})

#define test_cmd_fault_read(fd, record)					\
	ASSERT_DONE(_test_cmd_fault_read(fd, record))
#define test_cmd_respond(fd, flags, pasid, grpid, code)			\
	ASSERT_DONE(_test_cmd_respond(fd, flags, pasid, grpid, code))
#define test_err_respond(_errno, fd, flags, pasid, grpid, code)		\
	EXPECT_ERRNO(_errno, _test_cmd_respond(fd, flags, pasid, grpid,	\
					       code))

/* Nothing to read */
#define test_fault_none(fd)						\
	EXPECT_EQ(0, fd_wait(fd, POLLIN, 0))

/* The next record is a page request just like this */
#define test_fault_page_request(fd, _flags, _pasid, _grpid, _addr, _perm) \
	({								\
		struct iommu_fault _rec;				\
									\
		test_cmd_fault_read(fd, &_rec);				\
		EXPECT_EQ(IOMMU_FAULT_PAGE_REQ, _rec.type);		\
		EXPECT_EQ(0, _rec.padding);				\
		EXPECT_EQ((_flags) | ((_pasid) == NO_PASID ? 0 :	\
			   IOMMU_FAULT_PAGE_REQUEST_PASID_VALID),	\
			  _rec.prm.flags);				\
		EXPECT_EQ((_pasid) == NO_PASID ? 0 : (_pasid),		\
			  _rec.prm.pasid);				\
		EXPECT_EQ(_grpid, _rec.prm.grpid);			\
		EXPECT_EQ(_perm, _rec.prm.perm);			\
		EXPECT_EQ(_addr, _rec.prm.addr);			\
	})

/* It stands in the trace once */
#define test_traced(format, ...)					\
	({								\
		char _text[256];					\
									\
		snprintf(_text, sizeof(_text), format, __VA_ARGS__);	\
		EXPECT_EQ(1, traced(_text)) {				\
			TH_LOG("in the trace: '%s'", _text);		\
		}							\
	})

#endif /* __KSELFTEST_HARNESS_H */

#endif /* __SELFTEST_IOMMU_UAPI_UTILS */
