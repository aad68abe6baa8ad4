/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * IOMMU user API: what a virtual machine monitor says to a physical IOMMU on
 * behalf of its guest. The payloads travel inside the wrappers of a user-space
 * driver framework (VFIO: see linux/vfio.h) and never change with it.
 *
 * Rules that hold for each payload with an @argsz (user-space reference:
 * Documentation/userspace-api/iommu.rst):
 *  - @argsz is the number of bytes that the caller passes. A kernel that knows
 *    more takes the rest as zero; a kernel that knows less accepts the payload
 *    if the bytes that it does not know are zero and says E2BIG otherwise.
 *  - A payload grows only by giving meaning to padding or by a new union
 *    member at its end, either way announced by a new flag.
 *  - Padding and undefined flags must be zero.
 */

#ifndef _UAPI_IOMMU_H
#define _UAPI_IOMMU_H

#include <linux/types.h>

/**
 * enum iommu_pasid_format - Format of the guest's stage-1 structures
 * @IOMMU_PASID_FORMAT_INTEL_VTD: VT-d first-stage page tables, one per PASID
 * @IOMMU_PASID_FORMAT_ARM_SMMUV3: SMMUv3 context descriptor table, one per
 *	device, naming Arm VMSAv8-64 page tables
 */
enum iommu_pasid_format {
	IOMMU_PASID_FORMAT_INTEL_VTD = 1,
	IOMMU_PASID_FORMAT_ARM_SMMUV3 = 2
};

/* The only version of all payloads so far. It changes only for all at once. */
#define IOMMU_UAPI_VERSION_1		1

/**
 * struct iommu_pasid_request - Allocate one PASID or free a range of them
 * @argsz: bytes passed by the caller. Freeing needs the fields up to @max,
 *	allocating also needs @pasid.
 * @version: IOMMU_UAPI_VERSION_1
 * @flags: must be zero
 * @min: lowest PASID of the range, inclusive
 * @max: highest PASID of the range, inclusive
 * @pasid: allocation: written by the kernel with the PASID allocated.
 *	Must be zero on entry.
 */
struct iommu_pasid_request {
	__u32	argsz;
	__u32	version;
	__u32	flags;
	__u32	min;
	__u32	max;
	__u32	pasid;
};

/**
 * struct iommu_gpasid_bind_data_vtd - VT-d part of a page table bind
 * @flags: IOMMU_SVA_VTD_GPASID_* as in the scalable-mode PASID table entry.
 *	No 6.12 hardware interface takes PCD, PWT, EMTE and CD: they are
 *	defined for users of the 5.10 header and refused with EINVAL.
 * @pat: page attribute table of the guest; must be zero
 * @emt: extended memory type; must be zero
 */
struct iommu_gpasid_bind_data_vtd {
#define IOMMU_SVA_VTD_GPASID_SRE	(1 << 0) /* supervisor requests */
#define IOMMU_SVA_VTD_GPASID_EAFE	(1 << 1) /* extended access flag */
#define IOMMU_SVA_VTD_GPASID_PCD	(1 << 2) /* page-level cache disable */
#define IOMMU_SVA_VTD_GPASID_PWT	(1 << 3) /* page-level write through */
#define IOMMU_SVA_VTD_GPASID_EMTE	(1 << 4) /* extended memory type */
#define IOMMU_SVA_VTD_GPASID_CD		(1 << 5) /* PASID-level cache disable */
#define IOMMU_SVA_VTD_GPASID_WPE	(1 << 6) /* write protect */
	__aligned_u64	flags;
	__u32		pat;
	__u32		emt;
};

/**
 * struct iommu_gpasid_bind_data - Bind or unbind a guest page table
 * @argsz: bytes passed by the caller. Binding needs the vendor member that
 *	@format names, unbinding needs the fields up to @gpasid.
 * @version: IOMMU_UAPI_VERSION_1
 * @format: IOMMU_PASID_FORMAT_INTEL_VTD. Not looked at by an unbind.
 * @addr_width: number of input address bits of the guest page table (VT-d: 48
 *	for four levels, 57 for five). Not looked at by an unbind.
 * @flags: IOMMU_SVA_* flags
 * @gpgd: guest-physical address of the root of the page table, 4 KiB aligned.
 *	Not looked at by an unbind.
 * @hpasid: PASID that the device puts on the bus; one that the container has
 *	allocated. Zero with IOMMU_SVA_NO_PASID, or if an unbind uses @gpasid.
 * @gpasid: with IOMMU_SVA_GPASID_VAL: the guest's number for @hpasid. A bind
 *	makes faults carry it; an unbind finds the binding by it.
 * @padding: must be zero
 * @vendor: what only one format has
 * @vendor.vtd: for IOMMU_PASID_FORMAT_INTEL_VTD
 */
struct iommu_gpasid_bind_data {
	__u32		argsz;
	__u32		version;
	__u32		format;
	__u32		addr_width;
#define IOMMU_SVA_GPASID_VAL	(1 << 0) /* @gpasid is valid */
#define IOMMU_SVA_NO_PASID	(1 << 1) /* the device's requests without PASID */
	__aligned_u64	flags;
	__aligned_u64	gpgd;
	__aligned_u64	hpasid;
	__aligned_u64	gpasid;
	__u8		padding[8];
	union {
		struct iommu_gpasid_bind_data_vtd vtd;
	} vendor;
};

/**
 * struct iommu_pasid_smmuv3 - SMMUv3 part of a PASID table bind
 * @s1fmt: STE.S1Fmt: 0 linear, 1 two levels with 4 KiB leaves, 2 two levels
 *	with 64 KiB leaves
 * @s1dss: STE.S1DSS: what requests without PASID get when there is more than
 *	one context descriptor: 0 abort, 1 bypass stage 1, 2 descriptor 0
 * @padding: must be zero
 */
struct iommu_pasid_smmuv3 {
#define IOMMU_PASID_SMMUV3_S1FMT_LINEAR		0
#define IOMMU_PASID_SMMUV3_S1FMT_4K_L2		1
#define IOMMU_PASID_SMMUV3_S1FMT_64K_L2		2
#define IOMMU_PASID_SMMUV3_S1DSS_TERMINATE	0
#define IOMMU_PASID_SMMUV3_S1DSS_BYPASS		1
#define IOMMU_PASID_SMMUV3_S1DSS_SSID0		2
	__u8	s1fmt;
	__u8	s1dss;
	__u8	padding[6];
};

/**
 * struct iommu_pasid_table_config - Bind or unbind a guest PASID table
 * @argsz: bytes passed by the caller. Binding with @config translate needs the
 *	vendor member that @format names, binding with another @config needs the
 *	fields up to @base_ptr, unbinding the fields up to @padding.
 * @version: IOMMU_UAPI_VERSION_1
 * @flags: IOMMU_PASID_TABLE_* flags
 * @format: IOMMU_PASID_FORMAT_ARM_SMMUV3. Not looked at by an unbind.
 * @pasid_bits: number of PASID bits that the table covers (STE.S1CDMax); zero:
 *	one descriptor, for requests without PASID
 * @config: what stage 1 does: IOMMU_PASID_CONFIG_*. Not looked at by an unbind.
 * @padding: must be zero
 * @base_ptr: guest-physical address of the table, 64 byte aligned (two levels:
 *	aligned to the size of the first level, SMMUv3 section 5.2)
 * @vendor: what only one format has
 * @vendor.smmuv3: for IOMMU_PASID_FORMAT_ARM_SMMUV3
 */
struct iommu_pasid_table_config {
	__u32		argsz;
	__u32		version;
#define IOMMU_PASID_TABLE_DEVTLB	(1 << 0) /* guest invalidates device TLBs */
	__u32		flags;
	__u32		format;
	__u8		pasid_bits;
#define IOMMU_PASID_CONFIG_TRANSLATE	1 /* through the table */
#define IOMMU_PASID_CONFIG_BYPASS	2 /* guest-physical addresses */
#define IOMMU_PASID_CONFIG_ABORT	3 /* nothing gets through */
	__u8		config;
	__u8		padding[6];
	__aligned_u64	base_ptr;
	union {
		struct iommu_pasid_smmuv3 smmuv3;
	} vendor;
};

/**
 * enum iommu_inv_granularity - What one invalidation covers
 * @IOMMU_INV_GRANU_DOMAIN: all entries of the device's guest bindings
 * @IOMMU_INV_GRANU_PASID: all entries of one address space
 * @IOMMU_INV_GRANU_ADDR: a range of addresses
 * @IOMMU_INV_GRANU_NR: number of granularities
 */
enum iommu_inv_granularity {
	IOMMU_INV_GRANU_DOMAIN,
	IOMMU_INV_GRANU_PASID,
	IOMMU_INV_GRANU_ADDR,
	IOMMU_INV_GRANU_NR
};

/**
 * struct iommu_inv_addr_info - Address-selective invalidation
 * @flags: IOMMU_INV_ADDR_FLAGS_*. With none of PASID, NO_PASID and ARCHID the
 *	range is invalidated in every binding.
 * @archid: architecture's address space tag (SMMUv3: ASID) with flag ARCHID
 * @pasid: PASID with flag PASID
 * @addr: first address, a multiple of @granule_size
 * @granule_size: bytes in one granule, a power of two, at least 4096
 * @nb_granules: number of contiguous granules, at least one
 */
struct iommu_inv_addr_info {
#define IOMMU_INV_ADDR_FLAGS_PASID	(1 << 0) /* @pasid is valid */
#define IOMMU_INV_ADDR_FLAGS_ARCHID	(1 << 1) /* @archid is valid */
#define IOMMU_INV_ADDR_FLAGS_LEAF	(1 << 2) /* only leaf entries changed */
#define IOMMU_INV_ADDR_FLAGS_GPASID	(1 << 3) /* @pasid is the guest's number */
#define IOMMU_INV_ADDR_FLAGS_NO_PASID	(1 << 4) /* only requests without PASID */
	__u32		flags;
	__u32		archid;
	__aligned_u64	pasid;
	__aligned_u64	addr;
	__aligned_u64	granule_size;
	__aligned_u64	nb_granules;
};

/**
 * struct iommu_inv_pasid_info - PASID-selective invalidation
 * @flags: IOMMU_INV_PASID_FLAGS_*, at least one of PASID, NO_PASID, ARCHID
 * @archid: architecture's address space tag (SMMUv3: ASID) with flag ARCHID
 * @pasid: PASID with flag PASID
 */
struct iommu_inv_pasid_info {
#define IOMMU_INV_PASID_FLAGS_PASID	(1 << 0) /* @pasid is valid */
#define IOMMU_INV_PASID_FLAGS_ARCHID	(1 << 1) /* @archid is valid */
#define IOMMU_INV_PASID_FLAGS_GPASID	(1 << 2) /* @pasid is the guest's number */
#define IOMMU_INV_PASID_FLAGS_NO_PASID	(1 << 3) /* only requests without PASID */
	__u32		flags;
	__u32		archid;
	__aligned_u64	pasid;
};

/**
 * struct iommu_cache_invalidate_info - One invalidation request
 * @argsz: bytes passed by the caller; how many are needed follows from
 *	@granularity
 * @version: IOMMU_UAPI_VERSION_1
 * @cache: one or more of IOMMU_CACHE_INV_TYPE_*
 * @granularity: one of &enum iommu_inv_granularity. Domain with the device TLB
 *	and address with the PASID cache do not exist in hardware: EINVAL.
 * @padding: must be zero
 * @granu: selector of the granularity
 * @granu.pasid_info: for IOMMU_INV_GRANU_PASID
 * @granu.addr_info: for IOMMU_INV_GRANU_ADDR
 *
 * An error means that stale entries may be in use: the guest must not be told
 * that its invalidation is complete.
 */
struct iommu_cache_invalidate_info {
	__u32	argsz;
	__u32	version;
#define IOMMU_CACHE_INV_TYPE_IOTLB	(1 << 0) /* IOMMU's translation cache */
#define IOMMU_CACHE_INV_TYPE_DEV_IOTLB	(1 << 1) /* device's (ATS) cache */
#define IOMMU_CACHE_INV_TYPE_PASID	(1 << 2) /* PASID table entry, or context descriptor */
#define IOMMU_CACHE_INV_TYPE_NR		3
	__u8	cache;
	__u8	granularity;
	__u8	padding[6];
	union {
		struct iommu_inv_pasid_info pasid_info;
		struct iommu_inv_addr_info addr_info;
	} granu;
};

/**
 * struct iommu_cache_invalidate_batch - Several invalidations in one call
 * @argsz: bytes passed by the caller
 * @version: IOMMU_UAPI_VERSION_1
 * @flags: must be zero
 * @entry_size: bytes from one entry to the next; each entry is a &struct
 *	iommu_cache_invalidate_info whose own argsz is at most this
 * @count: number of entries
 * @done: written by the kernel, also when the call fails: number of leading
 *	entries that are complete. Must be zero on entry.
 * @entries: user pointer to the entries, which are handled in order
 */
struct iommu_cache_invalidate_batch {
	__u32		argsz;
	__u32		version;
	__u32		flags;
	__u32		entry_size;
	__u32		count;
	__u32		done;
	__aligned_u64	entries;
};

#define IOMMU_FAULT_PERM_READ	(1 << 0) /* read */
#define IOMMU_FAULT_PERM_WRITE	(1 << 1) /* write */
#define IOMMU_FAULT_PERM_EXEC	(1 << 2) /* exec */
#define IOMMU_FAULT_PERM_PRIV	(1 << 3) /* privileged */

/**
 * enum iommu_fault_type - Kind of a fault record
 * @IOMMU_FAULT_DMA_UNRECOV: the transaction was aborted
 * @IOMMU_FAULT_PAGE_REQ: the device waits for a page response
 * @IOMMU_FAULT_LOST: records that found the queue full are missing here
 */
enum iommu_fault_type {
	IOMMU_FAULT_DMA_UNRECOV = 1,
	IOMMU_FAULT_PAGE_REQ = 2,
	IOMMU_FAULT_LOST = 3
};

/**
 * enum iommu_fault_reason - Why a transaction was aborted
 * @IOMMU_FAULT_REASON_UNKNOWN: none of the others
 * @IOMMU_FAULT_REASON_PASID_FETCH: PASID table entry could not be read
 * @IOMMU_FAULT_REASON_BAD_PASID_ENTRY: PASID table entry is malformed
 * @IOMMU_FAULT_REASON_PASID_INVALID: PASID out of range or entry not valid
 * @IOMMU_FAULT_REASON_WALK_EABT: page table could not be read
 * @IOMMU_FAULT_REASON_PTE_FETCH: page table entry not present or malformed
 * @IOMMU_FAULT_REASON_PERMISSION: entry does not allow the access
 * @IOMMU_FAULT_REASON_ACCESS: access flag clear and not managed by hardware
 * @IOMMU_FAULT_REASON_OOR_ADDRESS: address outside what the tables translate
 */
enum iommu_fault_reason {
	IOMMU_FAULT_REASON_UNKNOWN = 0,
	IOMMU_FAULT_REASON_PASID_FETCH,
	IOMMU_FAULT_REASON_BAD_PASID_ENTRY,
	IOMMU_FAULT_REASON_PASID_INVALID,
	IOMMU_FAULT_REASON_WALK_EABT,
	IOMMU_FAULT_REASON_PTE_FETCH,
	IOMMU_FAULT_REASON_PERMISSION,
	IOMMU_FAULT_REASON_ACCESS,
	IOMMU_FAULT_REASON_OOR_ADDRESS
};

/**
 * struct iommu_fault_unrecoverable - A transaction that was aborted
 * @reason: one of &enum iommu_fault_reason
 * @flags: IOMMU_FAULT_UNRECOV_*: which fields are valid
 * @pasid: PASID of the transaction
 * @perm: access that was asked for: IOMMU_FAULT_PERM_*
 * @addr: address that the device used
 * @fetch_addr: guest-physical address of the structure that could not be used
 */
struct iommu_fault_unrecoverable {
	__u32		reason;
#define IOMMU_FAULT_UNRECOV_PASID_VALID		(1 << 0)
#define IOMMU_FAULT_UNRECOV_ADDR_VALID		(1 << 1)
#define IOMMU_FAULT_UNRECOV_FETCH_ADDR_VALID	(1 << 2)
#define IOMMU_FAULT_UNRECOV_GPASID		(1 << 3) /* @pasid is the guest's number */
	__u32		flags;
	__u32		pasid;
	__u32		perm;
	__aligned_u64	addr;
	__aligned_u64	fetch_addr;
};

/**
 * struct iommu_fault_page_request - One page request of a device
 * @flags: IOMMU_FAULT_PAGE_REQUEST_*. A group is answered as a whole, after
 *	its last request.
 * @pasid: PASID of the request
 * @grpid: page request group index
 * @perm: access that is asked for: IOMMU_FAULT_PERM_*
 * @addr: page address
 * @private_data: device's private data, to be returned by the guest's driver
 */
struct iommu_fault_page_request {
#define IOMMU_FAULT_PAGE_REQUEST_PASID_VALID	(1 << 0)
#define IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE	(1 << 1)
#define IOMMU_FAULT_PAGE_REQUEST_PRIV_DATA	(1 << 2)
#define IOMMU_FAULT_PAGE_REQUEST_GPASID		(1 << 3) /* @pasid is the guest's number */
	__u32		flags;
	__u32		pasid;
	__u32		grpid;
	__u32		perm;
	__aligned_u64	addr;
	__aligned_u64	private_data[2];
};

/**
 * struct iommu_fault_lost - Records that the queue had no room for
 * @unrecoverable: number of unrecoverable faults. Where the hardware may have lost
 *	some itself, and does not say how many or whose, that counts as one.
 * @page_requests: number of page request groups; each was answered with
 *	IOMMU_PAGE_RESP_INVALID
 */
struct iommu_fault_lost {
	__aligned_u64	unrecoverable;
	__aligned_u64	page_requests;
};

/**
 * struct iommu_fault - Fault record, as read from a fault file descriptor
 * @type: one of &enum iommu_fault_type
 * @padding: zero
 * @event: for IOMMU_FAULT_DMA_UNRECOV
 * @prm: for IOMMU_FAULT_PAGE_REQ
 * @lost: for IOMMU_FAULT_LOST
 * @padding2: sets the size; what the type does not use is zero
 */
struct iommu_fault {
	__u32	type;
	__u32	padding;
	union {
		struct iommu_fault_unrecoverable event;
		struct iommu_fault_page_request prm;
		struct iommu_fault_lost lost;
		__u8 padding2[56];
	};
};

/**
 * enum iommu_page_response_code - Answer to a page request group
 * @IOMMU_PAGE_RESP_SUCCESS: the pages are there, retry ("Success" in PCI PRI)
 * @IOMMU_PAGE_RESP_INVALID: they will not be, do not retry ("Invalid Request")
 * @IOMMU_PAGE_RESP_FAILURE: device is to stop sending requests ("Response
 *	Failure")
 */
enum iommu_page_response_code {
	IOMMU_PAGE_RESP_SUCCESS = 0,
	IOMMU_PAGE_RESP_INVALID,
	IOMMU_PAGE_RESP_FAILURE
};

/**
 * struct iommu_page_response - Answer, as written to a fault file descriptor
 * @argsz: bytes of this response; the next one follows it
 * @version: IOMMU_UAPI_VERSION_1
 * @flags: IOMMU_PAGE_RESP_*. Without PASID_VALID: group without PASID.
 * @pasid: as in the request
 * @grpid: as in the request
 * @code: one of &enum iommu_page_response_code
 */
struct iommu_page_response {
	__u32	argsz;
	__u32	version;
#define IOMMU_PAGE_RESP_PASID_VALID	(1 << 0)
#define IOMMU_PAGE_RESP_GPASID		(1 << 1) /* @pasid is the guest's number */
	__u32	flags;
	__u32	pasid;
	__u32	grpid;
	__u32	code;
};

/**
 * enum iommu_payload_id - Names a payload in &struct iommu_payload_info
 * @IOMMU_PAYLOAD_PASID_REQUEST: &struct iommu_pasid_request
 * @IOMMU_PAYLOAD_BIND_PGTBL: &struct iommu_gpasid_bind_data
 * @IOMMU_PAYLOAD_BIND_PASID_TABLE: &struct iommu_pasid_table_config
 * @IOMMU_PAYLOAD_CACHE_INVALIDATE: &struct iommu_cache_invalidate_info
 * @IOMMU_PAYLOAD_CACHE_INVALIDATE_BATCH: &struct iommu_cache_invalidate_batch
 * @IOMMU_PAYLOAD_PAGE_RESPONSE: &struct iommu_page_response
 * @IOMMU_PAYLOAD_NESTING_INFO: &struct iommu_nesting_info
 * @IOMMU_PAYLOAD_NR: number of payloads known to this header
 */
enum iommu_payload_id {
	IOMMU_PAYLOAD_PASID_REQUEST,
	IOMMU_PAYLOAD_BIND_PGTBL,
	IOMMU_PAYLOAD_BIND_PASID_TABLE,
	IOMMU_PAYLOAD_CACHE_INVALIDATE,
	IOMMU_PAYLOAD_CACHE_INVALIDATE_BATCH,
	IOMMU_PAYLOAD_PAGE_RESPONSE,
	IOMMU_PAYLOAD_NESTING_INFO,
	IOMMU_PAYLOAD_NR
};

/**
 * struct iommu_payload_info - What the running kernel knows of one payload
 * @id: one of &enum iommu_payload_id
 * @size: bytes that the kernel knows
 * @min_size: bytes that any request of this kind must pass
 * @version: version that the kernel takes
 * @flags: flags that it accepts
 * @form_flags: flags that it accepts in the union members. Page table bind:
 *	[0] VT-d member. Invalidation: [0] PASID form, [1] address form.
 */
struct iommu_payload_info {
	__u32		id;
	__u32		size;
	__u32		min_size;
	__u32		version;
	__aligned_u64	flags;
	__aligned_u64	form_flags[2];
};

/**
 * struct iommu_nesting_info_vtd - VT-d registers that a virtual IOMMU needs
 * @flags: IOMMU_NESTING_INFO_VTD_*
 * @padding: zero
 * @cap: capability register, masked to what the host supports under nesting
 * @ecap: extended capability register, masked likewise
 */
struct iommu_nesting_info_vtd {
#define IOMMU_NESTING_INFO_VTD_VALID	(1 << 0) /* same for all devices asked of */
	__u32		flags;
	__u32		padding;
	__aligned_u64	cap;
	__aligned_u64	ecap;
};

/**
 * struct iommu_nesting_info_smmuv3 - SMMUv3 registers that a vIOMMU needs
 * @flags: IOMMU_NESTING_INFO_SMMUV3_*
 * @idr: SMMU_IDR0 to SMMU_IDR5, masked to what the host supports under nesting
 * @iidr: SMMU_IIDR
 * @aidr: SMMU_AIDR
 */
struct iommu_nesting_info_smmuv3 {
#define IOMMU_NESTING_INFO_SMMUV3_VALID	(1 << 0) /* same for all devices asked of */
	__u32	flags;
	__u32	idr[6];
	__u32	iidr;
	__u32	aidr;
};

/**
 * struct iommu_nesting_info - What nested translation can do here
 * @argsz: in a device query: bytes that the caller has room for. On return:
 *	bytes that the kernel knows.
 * @flags: zero
 * @format: one of &enum iommu_pasid_format
 * @features: IOMMU_NESTING_FEAT_*
 * @addr_width: input address bits of stage 1
 * @pasid_bits: PASID bits that the hardware and all devices asked of have
 * @nr_payloads: valid entries in @payloads
 * @caches: mask of IOMMU_CACHE_INV_TYPE_* that can be invalidated
 * @granularities: mask of BIT(granularity) that invalidations may use
 * @padding: zero
 * @vendor: registers that only one format has
 * @vendor.vtd: for IOMMU_PASID_FORMAT_INTEL_VTD
 * @vendor.smmuv3: for IOMMU_PASID_FORMAT_ARM_SMMUV3
 * @vendor.padding2: sets the size
 * @payloads: what this kernel knows of each payload
 */
struct iommu_nesting_info {
	__u32	argsz;
	__u32	flags;
	__u32	format;
#define IOMMU_NESTING_FEAT_SYSWIDE_PASID	(1 << 0) /* PASIDs come from the host */
#define IOMMU_NESTING_FEAT_BIND_PGTBL		(1 << 1) /* page table per PASID */
#define IOMMU_NESTING_FEAT_BIND_PASID_TABLE	(1 << 2) /* whole PASID table */
#define IOMMU_NESTING_FEAT_CACHE_INVLD		(1 << 3) /* cache invalidation */
#define IOMMU_NESTING_FEAT_PAGE_REQUEST		(1 << 4) /* page requests and responses */
	__u32	features;
	__u16	addr_width;
	__u16	pasid_bits;
	__u32	nr_payloads;
	__u8	caches;
	__u8	granularities;
	__u8	padding[6];
	union {
		struct iommu_nesting_info_vtd vtd;
		struct iommu_nesting_info_smmuv3 smmuv3;
		__u8 padding2[64];
	} vendor;
	struct iommu_payload_info payloads[8];
};

#endif /* _UAPI_IOMMU_H */
