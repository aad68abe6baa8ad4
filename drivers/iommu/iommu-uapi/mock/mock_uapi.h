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

enum mock_dma_flags {
	MOCK_DMA_WRITE = 1 << 0,	/* device to memory */
	MOCK_DMA_PASID = 1 << 1,	/* pasid is valid */
	MOCK_DMA_ATS = 1 << 2,		/* through the device's own TLB; under a PASID
					 * table: if bound with _DEVTLB
					 */
	MOCK_DMA_PRI = 1 << 3,		/* page requests on a miss */
	MOCK_DMA_EXEC = 1 << 4,		/* instruction fetch; excludes WRITE */
	MOCK_DMA_PRIV = 1 << 5,		/* supervisor */
};

/**
 * enum mock_dma_status - How a DMA has ended
 * @MOCK_DMA_OK: well
 * @MOCK_DMA_ABORT_S1: by stage 1, or by stage 2 for a table of stage 1; an
 *	unrecoverable fault is reported
 * @MOCK_DMA_ABORT_S2: stage 2 has no mapping for the data, or not with this
 *	permission; the guest is not told
 * @MOCK_DMA_BLOCKED: nothing is attached for this PASID, or a PASID table is
 *	bound as "abort", or a PASID is used while one is bound as "bypass"
 * @MOCK_DMA_PRI_INVALID: the page response said "invalid"
 * @MOCK_DMA_PRI_FAILURE: the page response said "failure"
 */
enum mock_dma_status {
	MOCK_DMA_OK,
	MOCK_DMA_ABORT_S1,
	MOCK_DMA_ABORT_S2,
	MOCK_DMA_BLOCKED,
	MOCK_DMA_PRI_INVALID,
	MOCK_DMA_PRI_FAILURE,
};

/**
 * struct mock_dma - The device reads or writes memory
 * @argsz: sizeof(struct mock_dma)
 * @flags: MOCK_DMA_*
 * @pasid: with MOCK_DMA_PASID
 * @len: bytes, at most 64 KiB; may cross pages
 * @addr: address that the device puts on the bus
 * @data: user pointer: what the device writes, or where what it read goes
 * @status: out: &enum mock_dma_status. The ioctl itself returns 0 in each case.
 * @done: out: bytes transferred before the status was met
 *
 * With MOCK_DMA_PRI a missing translation makes the device send page requests
 * (one group of the pages missing) and wait for the answer; then it tries again.
 * Its groups have the indices 256 to 511. The wait can be interrupted by signals:
 * EINTR. A reset of the device ends it: ECANCELED. Where page requests are off,
 * the flag makes no difference. An access to a page table entry that is not
 * well-formed is never worth a page request.
 */
struct mock_dma {
	__u32	argsz;
	__u32	flags;
	__u32	pasid;
	__u32	len;
	__aligned_u64 addr;
	__aligned_u64 data;
	__u32	status;
	__u32	done;
};

#define MOCK_IOC_DMA		_IOWR(MOCK_IOC_MAGIC, 0, struct mock_dma)

enum mock_prq_flags {
	MOCK_PRQ_PASID = 1 << 0,	/* pasid is valid */
	MOCK_PRQ_PARTIAL = 1 << 1,	/* the group goes on */
};

/**
 * struct mock_page_request - The device sends page requests, without waiting
 * @argsz: sizeof(struct mock_page_request)
 * @flags: MOCK_PRQ_*
 * @pasid: with MOCK_PRQ_PASID
 * @grpid: page request group index, 9 bits; use 0 to 255
 * @addr: first page, 4 KiB aligned
 * @nr: number of consecutive pages, one request each, at most 64. The last one
 *	carries "last page in group" unless MOCK_PRQ_PARTIAL.
 * @perm: IOMMU_FAULT_PERM_*
 *
 * Where page requests are off, or nothing is bound for the PASID, the group is
 * answered "invalid" at once. ENOSPC: 1024 groups without an answer, or with
 * one that was not fetched.
 */
struct mock_page_request {
	__u32	argsz;
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
 * enum mock_inject_what - What goes wrong
 * @MOCK_INJECT_INV_TIMEOUT: invalidations time out, entries stay
 * @MOCK_INJECT_INV_ERROR: invalidations end in a queue error (EIO), entries stay
 * @MOCK_INJECT_BIND_ERROR: binds fail with EIO
 * @MOCK_INJECT_ATTACH_ERROR: domains cannot be attached: EIO. A bind attaches one,
 *	and so does an unbind from the requests without PASID: stage 2 alone.
 * @MOCK_INJECT_BIND_HELD: not an error: binds are in force, but do not return until
 *	the number is 0 again
 * @MOCK_INJECT_UNRECOVERABLE: not an error: unrecoverable faults are reported
 *	now, with reason UNKNOWN, flag ADDR_VALID, and addresses that count from 0
 *	in steps of 4096. ENOENT without a binding.
 */
enum mock_inject_what {
	MOCK_INJECT_INV_TIMEOUT,
	MOCK_INJECT_INV_ERROR,
	MOCK_INJECT_BIND_ERROR,
	MOCK_INJECT_ATTACH_ERROR,
	MOCK_INJECT_BIND_HELD,
	MOCK_INJECT_UNRECOVERABLE,
};

enum mock_inject_flags {
	MOCK_INJECT_AFTER_ONE = 1 << 0,	/* the next operation still succeeds */
};

#define MOCK_INJECT_MAX		65536

/**
 * struct mock_inject - Things that go wrong in hardware
 * @argsz: sizeof(struct mock_inject)
 * @flags: MOCK_INJECT_AFTER_ONE, with what fails only
 * @what: &enum mock_inject_what
 * @count: how many of the device's next operations of this kind fail, at most
 *	MOCK_INJECT_MAX. Replaces the number that is left from before.
 */
struct mock_inject {
	__u32	argsz;
	__u32	flags;
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
