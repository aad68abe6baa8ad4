/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mock hardware of the IOMMU user API: stage-1 walks
 *
 * Pure functions of memory: no devices, no locks, no caches.
 */
#ifndef __IOMMU_UAPI_MOCK_WALK_H
#define __IOMMU_UAPI_MOCK_WALK_H

#include <linux/bits.h>
#include <linux/iommu-uapi.h>

/* Width of a guest-physical address. Table entries that exceed it are faulty. */
#define MOCK_GPA_BITS		48

/* What a request wants besides reading. All eight combinations have a number. */
#define MOCK_ACC_WRITE		BIT(0)
#define MOCK_ACC_EXEC		BIT(1)
#define MOCK_ACC_PRIV		BIT(2)
#define MOCK_ACC_NR		8

/**
 * struct mock_mem - Guest-physical memory, as a table walk sees it
 * @load: read the 8 bytes at @gpa; 0 or -EFAULT
 * @update: change the 8 bytes at @gpa from @old to @new; 0, -EAGAIN if they
 *	are not @old, -EFAULT
 * @keep: optional: the entry @val at @gpa leads to the next table for @size bytes
 *	of input addresses around the one translated. @load may say so from memory
 *	of its own until it is told otherwise.
 */
struct mock_mem {
	int (*load)(struct mock_mem *mem, u64 gpa, u64 *val);
	int (*update)(struct mock_mem *mem, u64 gpa, u64 old, u64 new);
	void (*keep)(struct mock_mem *mem, u64 gpa, u64 val, u64 size);
};

/**
 * struct mock_leaf - What a walk has found
 * @va: first input address of the page
 * @gpa: guest-physical address of the page
 * @size: size of the page in bytes
 * @allowed: mask of BIT(access) for the accesses that need no further walk. A
 *	page that is clean so far does not have the writes.
 */
struct mock_leaf {
	u64 va;
	u64 gpa;
	u64 size;
	u8 allowed;
};

/**
 * struct mock_s1_fault - Why a walk has failed
 * @reason: reason
 * @recoverable: a change of the page table may help: page requests make sense
 * @has_fetch_addr: @fetch_addr is valid
 * @fetch_addr: guest-physical address of the entry that could not be used
 */
struct mock_s1_fault {
	enum iommu_fault_reason reason;
	bool recoverable;
	bool has_fetch_addr;
	u64 fetch_addr;
};

/**
 * struct mock_vtd_table - A VT-d first-stage page table
 * @root: guest-physical address of the highest level
 * @levels: 4 or 5
 * @sre: supervisor requests are allowed
 * @eafe: set the extended-accessed flag
 * @wpe: supervisor requests respect read-only entries
 */
struct mock_vtd_table {
	u64 root;
	u8 levels;
	bool sre;
	bool eafe;
	bool wpe;
};

/**
 * struct mock_cd_table - What an SMMUv3 stream table entry says of stage 1
 * @base: S1ContextPtr
 * @s1fmt: IOMMU_PASID_SMMUV3_S1FMT_*
 * @s1dss: IOMMU_PASID_SMMUV3_S1DSS_*
 * @bits: S1CDMax
 */
struct mock_cd_table {
	u64 base;
	u8 s1fmt;
	u8 s1dss;
	u8 bits;
};

/**
 * struct mock_cd - An SMMUv3 context descriptor, decoded
 * @ttb: tables for the low and the high addresses
 * @bits: number of input address bits of each
 * @epd: walks are disabled, for each
 * @had: the attributes of table entries do not count, for each
 * @tbi: the top byte of addresses is ignored, for each
 * @out_bits: number of output address bits
 * @asid: address space tag
 * @ha: hardware sets the access flag
 * @hd: hardware makes writable-clean entries dirty
 * @affd: a clear access flag is no fault
 * @wxn: what is writable is not executable
 * @pan: privileged data accesses do not reach user pages
 */
struct mock_cd {
	u64 ttb[2];
	u8 bits[2];
	bool epd[2];
	bool had[2];
	bool tbi[2];
	u8 out_bits;
	u16 asid;
	bool ha;
	bool hd;
	bool affd;
	bool wxn;
	bool pan;
};

int mock_vtd_walk(struct mock_mem *mem, const struct mock_vtd_table *table,
		  u64 va, unsigned int acc, struct mock_leaf *leaf,
		  struct mock_s1_fault *fault);

int mock_cd_select(const struct mock_cd_table *table, bool has_pasid, u32 pasid,
		   u32 *index, struct mock_s1_fault *fault);
int mock_cd_fetch(struct mock_mem *mem, const struct mock_cd_table *table,
		  u32 index, struct mock_cd *cd, struct mock_s1_fault *fault);
u64 mock_arm_untagged(const struct mock_cd *cd, u64 va);
int mock_arm_walk(struct mock_mem *mem, const struct mock_cd *cd, u64 va,
		  unsigned int acc, struct mock_leaf *leaf,
		  struct mock_s1_fault *fault);

#endif /* __IOMMU_UAPI_MOCK_WALK_H */
