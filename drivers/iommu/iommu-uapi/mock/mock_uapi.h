/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What a test says to the mock hardware: ioctls on a mock device's VFIO file
 * descriptor that stand for programming the device ("do this DMA"), and for
 * what only a test can do to hardware ("let the next invalidation time out").
 * Not a stable interface.
 */
#ifndef _IOMMU_UAPI_MOCK_UAPI_H
#define _IOMMU_UAPI_MOCK_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Platform devices "iommu-uapi-mock.N", driver "vfio-iommu-uapi-mock".
 * 0 to 2 are alone in their IOMMU group, 3 and 4 share one.
 */
#define MOCK_NR_DEVICES		5
#define MOCK_NR_SINGLE		3
#define MOCK_PASID_BITS		20

#define MOCK_IOC_MAGIC		'M'

/**
 * struct mock_dma - The device reads or writes memory
 * @argsz: sizeof(struct mock_dma)
 * @flags: MOCK_DMA_*
 * @pasid: with MOCK_DMA_PASID
 * @len: bytes, at most 64 KiB; may cross pages
 * @addr: address that the device puts on the bus
 * @data: user pointer: what the device writes, or where what it read goes
 * @status: out: MOCK_DMA_STATUS_*. The ioctl itself returns 0 in each case.
 * @done: out: bytes transferred before the status was met
 *
 * With MOCK_DMA_PRI a missing translation makes the device send page requests
 * (one group of the pages missing) and wait for the answer; then it tries again.
 * The wait can be interrupted by signals: EINTR.
 */
struct mock_dma {
	__u32	argsz;
#define MOCK_DMA_WRITE		(1 << 0) /* device to memory */
#define MOCK_DMA_PASID		(1 << 1) /* @pasid is valid */
#define MOCK_DMA_ATS		(1 << 2) /* through the device's own TLB */
#define MOCK_DMA_PRI		(1 << 3) /* page requests on a miss */
#define MOCK_DMA_EXEC		(1 << 4) /* instruction fetch */
#define MOCK_DMA_PRIV		(1 << 5) /* supervisor */
	__u32	flags;
	__u32	pasid;
	__u32	len;
	__aligned_u64 addr;
	__aligned_u64 data;
#define MOCK_DMA_OK		0
#define MOCK_DMA_ABORT_S1	1 /* stage 1: unrecoverable fault reported */
#define MOCK_DMA_ABORT_S2	2 /* stage 2 has no mapping, or not this access */
#define MOCK_DMA_BLOCKED	3 /* nothing attached for this PASID */
#define MOCK_DMA_PRI_INVALID	4 /* page response said "invalid" */
#define MOCK_DMA_PRI_FAILURE	5 /* page response said "failure" */
	__u32	status;
	__u32	done;
};
#define MOCK_IOC_DMA		_IOWR(MOCK_IOC_MAGIC, 0, struct mock_dma)

/**
 * struct mock_page_request - The device sends page requests, without waiting
 * @argsz: sizeof(struct mock_page_request)
 * @flags: MOCK_PRQ_*
 * @pasid: with MOCK_PRQ_PASID
 * @grpid: page request group index, 9 bits
 * @addr: first page
 * @nr: number of consecutive pages, one request each, at most 64. The last one
 *	carries "last page in group" unless MOCK_PRQ_PARTIAL.
 * @perm: IOMMU_FAULT_PERM_*
 */
struct mock_page_request {
	__u32	argsz;
#define MOCK_PRQ_PASID		(1 << 0)
#define MOCK_PRQ_PARTIAL	(1 << 1)
	__u32	flags;
	__u32	pasid;
	__u32	grpid;
	__aligned_u64 addr;
	__u32	nr;
	__u32	perm;
};
#define MOCK_IOC_PAGE_REQUEST	_IOW(MOCK_IOC_MAGIC, 1, struct mock_page_request)

/**
 * struct mock_page_response - Oldest page response that the device received
 * @argsz: sizeof(struct mock_page_response)
 * @flags: out: MOCK_PRQ_PASID if it named a PASID
 * @pasid: out
 * @grpid: out
 * @code: out: 0 success, 1 invalid, 2 failure
 * @padding: zero
 *
 * EAGAIN if there is none. Responses to requests of MOCK_IOC_DMA do not show
 * up here.
 */
struct mock_page_response {
	__u32	argsz;
	__u32	flags;
	__u32	pasid;
	__u32	grpid;
	__u32	code;
	__u32	padding;
};
#define MOCK_IOC_PAGE_RESPONSE	_IOWR(MOCK_IOC_MAGIC, 2, struct mock_page_response)

/**
 * struct mock_inject - Things that go wrong in hardware
 * @argsz: sizeof(struct mock_inject)
 * @flags: must be zero
 * @what: MOCK_INJECT_*
 * @count: how many of the device's next operations of this kind fail
 */
struct mock_inject {
	__u32	argsz;
	__u32	flags;
#define MOCK_INJECT_INV_TIMEOUT		0 /* invalidation times out, entries stay */
#define MOCK_INJECT_INV_ERROR		1 /* queue error, entries stay */
#define MOCK_INJECT_BIND_ERROR		2 /* bind fails with EIO */
#define MOCK_INJECT_UNRECOVERABLE	3 /* not an error: report @count unrecoverable
					   * faults now (reason UNKNOWN, flags
					   * ADDR_VALID, addr = sequence << 12) */
	__u32	what;
	__u32	count;
};
#define MOCK_IOC_INJECT		_IOW(MOCK_IOC_MAGIC, 3, struct mock_inject)

/**
 * struct mock_stats - Counters of one device, since it was opened
 * @argsz: sizeof(struct mock_stats)
 * @iotlb_entries: entries of this device in the IOMMU's IOTLB now
 * @devtlb_entries: entries in the device's own TLB now
 * @bonds: bindings of the device now
 * @invalidations: invalidations done
 * @unrecoverable: unrecoverable faults met
 * @domains: nested domains in existence, all devices and users together
 * @padding: zero
 */
struct mock_stats {
	__u32	argsz;
	__u32	iotlb_entries;
	__u32	devtlb_entries;
	__u32	bonds;
	__aligned_u64 invalidations;
	__aligned_u64 unrecoverable;
	__u32	domains;
	__u32	padding;
};
#define MOCK_IOC_STATS		_IOWR(MOCK_IOC_MAGIC, 4, struct mock_stats)

/*
 * Parameters of the mock, in /sys/module/iommu_uapi_mock/parameters/ and on the
 * kernel's command line (iommu_uapi_mock.NAME=VALUE):
 *   lack       mask of IOMMU_NESTING_FEAT_*: the mock says, and behaves, as if
 *              it did not have these. All five: no nested translation at all.
 *              Takes effect when a group is attached to a container.
 *   style      0: page table per PASID (VT-d); 1: PASID table (SMMUv3).
 *              Takes effect when a group is attached to a container.
 *   grow       bytes by which the core pretends that every payload has grown
 *              in a newer kernel (0 to 48)
 */

#endif /* _IOMMU_UAPI_MOCK_UAPI_H */
