/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of the IOMMU user API on VT-d share: a guest whose devices are
 * QEMU's "pcie-dma-testdev", their requests, and sentences about these. VT-d is
 * emulated by QEMU with the project's patches; nothing of the IOMMU is the
 * kernel's own here: stale entries are stale because QEMU, or the device, caches
 * them.
 *
 * Tests are skipped on machines without such devices behind an IOMMU. Two of the
 * devices are integrated endpoints, each alone in its group; a third one is
 * behind a root port and can be unplugged.
 */
#ifndef __SELFTEST_IOMMU_UAPI_VTD
#define __SELFTEST_IOMMU_UAPI_VTD

#include <sys/wait.h>

#include "../kselftest_harness.h"
#include "iommu_uapi_utils.h"
#include "iommu_uapi_testdev.h"

#define TYPE		VFIO_TYPE1_NESTING_IOMMU
#define IOTLB		IOMMU_CACHE_INV_TYPE_IOTLB
#define DEV_IOTLB	IOMMU_CACHE_INV_TYPE_DEV_IOTLB
#define PASID_CACHE	IOMMU_CACHE_INV_TYPE_PASID
#define SUCCESS		IOMMU_PAGE_RESP_SUCCESS
#define INVALID		IOMMU_PAGE_RESP_INVALID
#define FAILURE		IOMMU_PAGE_RESP_FAILURE
#define PERM_R		IOMMU_FAULT_PERM_READ
#define PERM_W		IOMMU_FAULT_PERM_WRITE

/* Guest virtual addresses, the first one at a 1 GiB boundary */
#define VA		0x7f1240000000ULL
#define VA2		0x00c0ffeed000ULL
#define VA_HIGH		0xffff912345678000ULL
/* In no table, except where a test maps it later */
#define VA_UNMAPPED	0x100200300000ULL

/* Guest-physical address without memory behind it */
#define GPA_HOLE	(GUEST_RAM + 64 * GUEST_RAM_SIZE)

/* Where interrupts go: no address to a request without PASID */
#define MSI_WINDOW	0xfee00000ULL

/* VT-d specification, section 9.7: extended accessed */
#define VTD_EA		(1ULL << 10)

/* Sections 11.4.2 and 11.4.3: capability and extended capability register */
#define CAP_FL1GP	(1ULL << 56)
#define CAP_FL5LP	(1ULL << 60)
#define ECAP_DT		(1ULL << 2)
#define ECAP_NEST	(1ULL << 26)
#define ECAP_PRS	(1ULL << 29)
#define ECAP_SRS	(1ULL << 31)
#define ECAP_EAFS	(1ULL << 34)
#define ECAP_PSS(ecap)	((ecap) >> 35 & 0x1f)
#define ECAP_PASID	(1ULL << 40)
#define ECAP_SLTS	(1ULL << 46)
#define ECAP_FLTS	(1ULL << 47)

static int nr_dev;

/* Is the device behind a port, rather than on the first bus? */
static bool is_behind_port(int n)
{
	return strncmp(testdev_names[n], "0000:00:", 8);
}

static __attribute__((constructor)) void find_devices(void)
{
	nr_dev = testdev_find();
}

/* ---------------------------------------------------------------------
 * A guest with one container and some devices
 */
struct guest {
	struct vmm vmm;
	struct testdev dev[TESTDEV_MAX];
	struct guest_pt pt;
	__u64 page[2];
};

static int guest_add(struct guest *g, int n, bool first)
{
	if (vmm_add_pci(&g->vmm, first ? TYPE : 0, n, testdev_names[n]))
		return -1;
	return testdev_start(&g->dev[n], g->vmm.dev[n]);
}

/* Device @n comes first into a new container. The table maps VA to page 0. */
static int guest_open(struct guest *g, int n)
{
	memset(g, 0, sizeof(*g));
	if (vmm_init(&g->vmm) ||
	    vmm_open_pci(&g->vmm, TYPE, n, testdev_names[n]) ||
	    testdev_start(&g->dev[n], g->vmm.dev[n]))
		return -1;
	guest_pt_init(&g->pt, &g->vmm, GUEST_PT_VTD, 4);
	g->page[0] = guest_page(&g->vmm);
	g->page[1] = guest_page(&g->vmm);
	guest_map(&g->pt, VA, g->page[0]);
	return 0;
}

static void guest_close(struct guest *g)
{
	int i;

	for (i = 0; i < TESTDEV_MAX; i++)
		testdev_stop(&g->dev[i]);
	vmm_close(&g->vmm);
}

static int guest_pasid(struct guest *g, __u32 *pasid)
{
	return _test_cmd_pasid_alloc(g->vmm.container, 1, UINT_MAX, pasid);
}

static int guest_info(struct guest *g, int n, struct iommu_nesting_info *info)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	return _test_cmd_get_device_info(g->vmm.dev[n], info, sizeof(*info));
}

static __u64 guest_ecap(struct guest *g, int n)
{
	struct iommu_nesting_info info;

	return guest_info(g, n, &info) ? 0 : info.vendor.vtd.ecap;
}

/* ---------------------------------------------------------------------
 * Requests of a device: which, with which PASID, of which kind
 */
struct requester {
	struct testdev *dev;
	__u32 pasid;
	/* TESTDEV_ATS and others */
	__u32 flags;
};

static struct requester requester(struct guest *g, int n, __u32 pasid,
				  __u32 flags)
{
	return (struct requester) {
		.dev = &g->dev[n],
		.pasid = pasid,
		.flags = flags,
	};
}

/* By another PASID, or none */
static struct requester with_pasid(struct requester req, __u32 pasid)
{
	req.pasid = pasid;
	return req;
}

static struct requester with_flags(struct requester req, __u32 flags)
{
	req.flags = flags;
	return req;
}

/* The caches in which translations of these requests stay */
static __u8 caches_of(struct requester req)
{
	return req.flags & TESTDEV_ATS ? IOTLB | DEV_IOTLB : IOTLB;
}

static __u32 device_write(struct requester req, __u64 addr, __u64 value)
{
	*(volatile __u64 *)req.dev->buf = value;
	return testdev_dma(req.dev, req.flags | TESTDEV_TO_BUS, req.pasid, addr,
			   0, sizeof(value));
}

static __u32 device_read(struct requester req, __u64 addr, __u64 *value)
{
	__u32 status;

	*(volatile __u64 *)(req.dev->buf + 8) = 0;
	status = testdev_dma(req.dev, req.flags, req.pasid, addr, 8,
			     sizeof(*value));
	*value = *(volatile __u64 *)(req.dev->buf + 8);
	return status;
}

/* Where ATS gives no permission, the device does not even try. */
static bool is_stopped(__u32 status)
{
	return status == TESTDEV_ABORTED || status == TESTDEV_NO_ACCESS;
}

/* "The requests reach guest memory @gpa by @va" */
#define test_writes_in(_vmm, req, va, gpa)				\
	({								\
		__u64 _want = fresh_value();				\
									\
		EXPECT_EQ(TESTDEV_DONE, device_write(req, va, _want));	\
		EXPECT_EQ(_want, guest_read(_vmm, gpa));		\
	})
#define test_reads_in(_vmm, req, va, gpa)				\
	({								\
		__u64 _want = fresh_value(), _got;			\
									\
		guest_write(_vmm, gpa, _want);				\
		EXPECT_EQ(TESTDEV_DONE, device_read(req, va, &_got));	\
		EXPECT_EQ(_want, _got);					\
	})
#define test_writes(req, va, gpa)					\
	test_writes_in(&self->g.vmm, req, va, gpa)
#define test_reads(req, va, gpa)					\
	test_reads_in(&self->g.vmm, req, va, gpa)
#define test_reaches(req, va, gpa)					\
	({								\
		test_writes(req, va, gpa);				\
		test_reads(req, va, gpa);				\
	})

/* Nor do they reach @gpa, which might be what is behind @va */
#define test_writes_not(req, va, gpa)					\
	({								\
		__u64 _old = fresh_value();				\
		__u32 _status;						\
									\
		guest_write(&self->g.vmm, gpa, _old);			\
		_status = device_write(req, va, fresh_value());		\
		EXPECT_TRUE(is_stopped(_status)) {			\
			TH_LOG("status %u", _status);			\
		}							\
		EXPECT_EQ(_old, guest_read(&self->g.vmm, gpa));		\
	})
#define test_reads_not(req, va, gpa)					\
	({								\
		__u64 _secret = fresh_value(), _got;			\
		__u32 _status;						\
									\
		guest_write(&self->g.vmm, gpa, _secret);		\
		_status = device_read(req, va, &_got);			\
		EXPECT_TRUE(is_stopped(_status)) {			\
			TH_LOG("status %u", _status);			\
		}							\
		EXPECT_NE(_secret, _got);				\
	})
#define test_stopped(req, va, gpa)					\
	({								\
		test_writes_not(req, va, gpa);				\
		test_reads_not(req, va, gpa);				\
	})

/* By stage 2 alone, as a device without a binding does */
#define test_reaches_raw(n, gpa)					\
	test_reaches(requester(&self->g, n, NO_PASID, 0), gpa, gpa)

#define DEVICE		device_scope(&self->g.vmm, 0)
#define SCOPE(n)	device_scope(&self->g.vmm, n)
#define CONTAINER	container_scope(&self->g.vmm)

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
 * Cause a fault, until there is a record of it: hardware has room for one, and
 * loses what comes before that one was read.
 */
static int cause_fault(int fd, struct requester req, bool write, __u64 va,
		       struct iommu_fault *record)
{
	__u64 value;
	int i;

	for (i = 0; i < 20; i++) {
		if (write)
			device_write(req, va, 0);
		else
			device_read(req, va, &value);
		if (fd_wait(fd, POLLIN, WAIT_MS / 20))
			return _test_cmd_fault_read(fd, record);
	}
	errno = ETIMEDOUT;
	return -1;
}

/* ---------------------------------------------------------------------
 * A device goes
 */

/* Nothing of what was before is there for the next owner of the device. */
static void check_clean(struct __test_metadata *_metadata, int n)
{
	struct requester raw;
	struct guest g;
	__u32 pasid;

	ASSERT_EQ(0, guest_open(&g, n));
	raw = requester(&g, n, NO_PASID, 0);
	EXPECT_EQ(0, testdev_read(&g.dev[n], TESTDEV_ATC_USED));
	EXPECT_TRUE(is_stopped(device_write(raw, VA, 0)));
	test_writes_in(&g.vmm, raw, g.page[1], g.page[1]);
	ASSERT_DONE(guest_pasid(&g, &pasid));
	EXPECT_TRUE(is_stopped(device_write(with_pasid(raw, pasid), VA, 0)));
	EXPECT_EQ(0, guest_read(&g.vmm, g.page[0]));
	test_cmd_bind(device_scope(&g.vmm, n), &g.pt, pasid);
	test_writes_in(&g.vmm, with_pasid(raw, pasid), VA, g.page[0]);
	guest_close(&g);
}

/* Write to a file of sysfs, without what keeps the device; the child's pid */
static pid_t write_in_child(struct guest *g, int fault, const char *path,
			    const char *value)
{
	pid_t pid = fork();

	if (!pid) {
		guest_close(g);
		close(fault);
		_exit(param_write(path, value) ? 1 : 0);
	}
	return pid;
}

/* Device @n goes while it is bound: the kernel waits for us, then all ends. */
static void device_goes(struct __test_metadata *_metadata, int n,
			const char *path, const char *value)
{
	struct requester req;
	int status, group = pci_group(testdev_names[n]), fault;
	char dev_path[64];
	struct guest g;
	__u32 pasid;
	pid_t pid;

	ASSERT_EQ(0, guest_open(&g, n));
	fault = fault_open(g.vmm.dev[n]);
	ASSERT_LE(0, fault);
	ASSERT_DONE(guest_pasid(&g, &pasid));
	test_cmd_bind(container_scope(&g.vmm), &g.pt, pasid);
	test_cmd_bind(device_scope(&g.vmm, n), &g.pt, NO_PASID);
	req = requester(&g, n, pasid, TESTDEV_ATS);
	test_writes_in(&g.vmm, req, VA, g.page[0]);
	EXPECT_EQ(TESTDEV_WAITING,
		  testdev_begin(&g.dev[n], 1, TESTDEV_ATS | TESTDEV_PRI, pasid,
				VA_UNMAPPED, 0, 8));

	pid = write_in_child(&g, fault, path, value);
	ASSERT_LE(0, pid);
	sleep_ms(300);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	test_writes_in(&g.vmm, req, VA, g.page[0]);
	test_writes_in(&g.vmm, with_pasid(req, NO_PASID), VA, g.page[0]);

	guest_close(&g);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(fd_wait(fault, POLLIN, WAIT_MS) & POLLHUP);
	close(fault);
	snprintf(dev_path, sizeof(dev_path), "/dev/vfio/%d", group);
	EXPECT_NE(0, access(dev_path, F_OK));
}

#endif /* __SELFTEST_IOMMU_UAPI_VTD */
