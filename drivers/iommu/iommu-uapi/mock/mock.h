/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mock hardware of the IOMMU user API
 *
 * One IOMMU, and five devices that can do nothing but read and write memory
 * when they are told to. A request goes the way that it goes in hardware:
 *
 *   vdev.c    an ioctl stands for programming the device
 *   dma.c     the request meets what is attached for its PASID: nothing, stage 2
 *             alone, or stage 1 on top of stage 2
 *   iotlb.c   stage 1, its tables and context descriptors may be in a cache, also
 *             long after the guest changed them
 *   walk.c    otherwise its tables are walked, through stage 2
 *   fault.c   which may need the guest's help
 *   stage2.c  stage 2 is looked at for each access anew: it is the host's, and
 *             what the host has unmapped is gone at once
 *   hw.c      devices, groups, and what is attached to them
 *   uapi.c    what the IOMMU user API asks for
 *   iommufd.c and what iommufd does
 *
 * Locks, outermost first:
 *
 *   client->lock   rwsem: a device's requests are on their way and its faults
 *                  are reported under it; for writing while something is
 *                  attached, detached or invalidated, which is how these wait
 *                  for requests in flight
 *   stage2->lock   rwsem: accesses to memory; for writing while pages go
 *   client->prq_lock, and the locks of the caches
 *                  spinlocks, leaves
 *
 * group->mutex and the locks of the IOMMU core's page fault queue are taken
 * outside of and inside of client->lock, in this order.
 */
#ifndef __IOMMU_UAPI_MOCK_H
#define __IOMMU_UAPI_MOCK_H

#include <linux/completion.h>
#include <linux/iommu-uapi.h>
#include <linux/list.h>
#include <linux/platform_device.h>
#include <linux/rwsem.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "mock_uapi.h"
#include "walk.h"

#define MOCK_FEATURES		(IOMMU_NESTING_FEAT_SYSWIDE_PASID |	\
				 IOMMU_NESTING_FEAT_BIND_PGTBL |	\
				 IOMMU_NESTING_FEAT_BIND_PASID_TABLE |	\
				 IOMMU_NESTING_FEAT_CACHE_INVLD |	\
				 IOMMU_NESTING_FEAT_PAGE_REQUEST)

enum mock_style {
	MOCK_STYLE_VTD,
	MOCK_STYLE_SMMUV3,
	MOCK_STYLE_NR,
};

/* stage2.c */

/**
 * struct mock_stage2 - What the host maps for a device
 * @domain: paging domain
 * @nest_parent: may have stage 1 on top
 * @lock: see above
 * @pages: by guest-physical page number: physical page number and permission
 * @mem: the memory, for table walks
 */
struct mock_stage2 {
	struct iommu_domain domain;
	bool nest_parent;
	struct rw_semaphore lock;
	struct xarray pages;
	struct mock_mem mem;
};

extern const struct iommu_domain_ops mock_stage2_ops;

static inline struct mock_stage2 *to_stage2(struct iommu_domain *domain)
{
	return container_of(domain, struct mock_stage2, domain);
}

struct iommu_domain *mock_stage2_alloc(struct device *dev);
int mock_stage2_copy(struct mock_stage2 *stage2, u64 gpa, void *buf, size_t len,
		     bool write);

/* iotlb.c */

/**
 * struct mock_nested - A guest's stage 1 on top of the host's stage 2
 * @domain: nested domain
 * @stage2: what is below
 * @bond: binding that faults are reported to; NULL for a domain of iommufd
 * @ats: the device may use its own TLB, which the guest has to invalidate
 * @config: IOMMU_PASID_CONFIG_* for a PASID table, 0 for a page table
 * @vtd: the page table
 * @cds: the PASID table
 *
 * @ats, @config and @cds change under the device's lock, everything else is
 * constant.
 */
struct mock_nested {
	struct iommu_domain domain;
	struct mock_stage2 *stage2;
	struct iommu_uapi_bond *bond;
	bool ats;
	u8 config;
	union {
		struct mock_vtd_table vtd;
		struct mock_cd_table cds;
	};
};

extern atomic_t mock_nr_nested;
extern const struct iommu_domain_ops mock_nested_ops;

static inline struct mock_nested *to_nested(struct iommu_domain *domain)
{
	return container_of(domain, struct mock_nested, domain);
}

static inline bool mock_is_nested(const struct iommu_domain *domain)
{
	return domain->type == IOMMU_DOMAIN_NESTED;
}

#define MOCK_TLB_SIZE		512
#define MOCK_CD_CACHE_SIZE	64
#define MOCK_PSC_SIZE		32

/**
 * struct mock_tag - What tells apart cached entries for the same address
 * @nested: the stage 1
 * @has_pasid: requests with PASID
 * @pasid: which
 * @asid: address space tag of a context descriptor; not known to the device's
 *	own TLB
 */
struct mock_tag {
	const struct mock_nested *nested;
	bool has_pasid;
	u32 pasid;
	u16 asid;
};

/**
 * struct mock_select - Which cached entries an invalidation is about
 * @nested: those of one stage 1; NULL: all of the device
 * @by_pasid: only those with @has_pasid and @pasid
 * @has_pasid: see @by_pasid
 * @pasid: see @by_pasid
 * @by_asid: only those with @asid
 * @asid: see @by_asid
 * @first: only pages that overlap addresses from here
 * @last: to here
 */
struct mock_select {
	const struct mock_nested *nested;
	bool by_pasid;
	bool has_pasid;
	u32 pasid;
	bool by_asid;
	u32 asid;
	u64 first;
	u64 last;
};

struct mock_tlb_entry {
	struct list_head node;
	struct mock_tag tag;
	struct mock_leaf leaf;
};

/**
 * struct mock_tlb - Cache of stage-1 translations
 * @lock: protects the rest
 * @live: entries in use, the oldest first
 * @free: the others
 * @count: length of @live
 * @pool: where they come from
 */
struct mock_tlb {
	spinlock_t lock;	/* leaf */
	struct list_head live;
	struct list_head free;
	unsigned int count;
	struct mock_tlb_entry pool[MOCK_TLB_SIZE];
};

/**
 * struct mock_cd_cache - Context descriptors of one device
 * @lock: protects the rest
 * @next: slot that is used next
 * @slots: @nested is NULL in an empty one
 */
struct mock_cd_cache {
	spinlock_t lock;	/* leaf */
	unsigned int next;
	struct {
		const struct mock_nested *nested;
		u32 index;
		struct mock_cd cd;
	} slots[MOCK_CD_CACHE_SIZE];
};

/**
 * struct mock_psc_entry - A page table entry that leads to another table
 * @tag: whose it is; @tag.nested is NULL in an empty slot
 * @va: first input address that is translated through it
 * @size: bytes of input addresses
 * @gpa: where it stands
 * @val: what it says
 */
struct mock_psc_entry {
	struct mock_tag tag;
	u64 va;
	u64 size;
	u64 gpa;
	u64 val;
};

/**
 * struct mock_psc - Paging-structure cache of one device
 * @lock: protects the rest
 * @next: slot that is used next
 * @slots: the entries
 */
struct mock_psc {
	spinlock_t lock;	/* leaf */
	unsigned int next;
	struct mock_psc_entry slots[MOCK_PSC_SIZE];
};

void mock_tlb_init(struct mock_tlb *tlb);
bool mock_tlb_lookup(struct mock_tlb *tlb, const struct mock_tag *tag, u64 addr,
		     unsigned int acc, struct mock_leaf *leaf);
void mock_tlb_insert(struct mock_tlb *tlb, const struct mock_tag *tag,
		     const struct mock_leaf *leaf);
void mock_tlb_invalidate(struct mock_tlb *tlb, const struct mock_select *select);
unsigned int mock_tlb_count(struct mock_tlb *tlb);

bool mock_cd_lookup(struct mock_cd_cache *cache,
		    const struct mock_nested *nested, u32 index,
		    struct mock_cd *cd);
void mock_cd_insert(struct mock_cd_cache *cache,
		    const struct mock_nested *nested, u32 index,
		    const struct mock_cd *cd);
void mock_cd_invalidate(struct mock_cd_cache *cache,
			const struct mock_select *select);

bool mock_psc_lookup(struct mock_psc *psc, const struct mock_tag *tag, u64 va,
		     u64 gpa, u64 *val);
void mock_psc_insert(struct mock_psc *psc, const struct mock_psc_entry *entry);
void mock_psc_invalidate(struct mock_psc *psc, const struct mock_select *select);

/* hw.c */

/**
 * struct mock_client - A device behind the mock IOMMU
 * @id: its number
 * @pdev: the device
 * @lock: see above
 * @rid: what is attached for requests without PASID; NULL: nothing
 * @pasids: what is attached for PASIDs
 * @style: a &enum mock_style, as it was when something was attached to the
 *	device that had nothing attached
 * @lack: mask of IOMMU_NESTING_FEAT_*, likewise
 * @iopf: page requests are on
 * @iotlb: the IOMMU's cached translations for the device
 * @devtlb: the device's own
 * @cd_cache: the IOMMU's cached context descriptors for the device
 * @psc: the IOMMU's cached table entries above pages, for the device
 * @spare: by MOCK_INJECT_*: how many operations still succeed
 * @inject: and how many are to fail then
 * @held: binds that wait for their MOCK_INJECT_BIND_HELD to end
 * @nr_bonds: bindings
 * @invalidations: counter
 * @unrecoverable: counter
 * @resets: changes with each reset of the device
 * @prq_lock: see above
 * @prq_pending: page request groups without answer, the oldest first
 * @prq_answered: with an answer that user space has not fetched yet
 * @nr_prq: length of both
 * @next_grpid: group index that the device tries next for a request of its own
 */
struct mock_client {
	unsigned int id;
	struct platform_device *pdev;

	struct rw_semaphore lock;
	struct iommu_domain *rid;
	struct xarray pasids;
	unsigned int style;
	unsigned int lack;
	bool iopf;

	struct mock_tlb iotlb;
	struct mock_tlb devtlb;
	struct mock_cd_cache cd_cache;
	struct mock_psc psc;

	atomic_t spare[MOCK_INJECT_UNRECOVERABLE];
	atomic_t inject[MOCK_INJECT_UNRECOVERABLE];
	wait_queue_head_t held;
	atomic_t nr_bonds;
	atomic64_t invalidations;
	atomic64_t unrecoverable;
	unsigned int resets;

	spinlock_t prq_lock;	/* leaf */
	struct list_head prq_pending;
	struct list_head prq_answered;
	unsigned int nr_prq;
	u32 next_grpid;
};

extern const struct iommu_ops mock_iommu_ops;
extern struct mock_client *mock_clients[MOCK_NR_DEVICES];

struct mock_client *mock_client_of(struct device *dev);
int mock_attach_rid(struct iommu_domain *domain, struct device *dev);
int mock_attach_pasid(struct iommu_domain *domain, struct device *dev,
		      ioasid_t pasid, struct iommu_domain *old);
struct iommu_domain *mock_attached(struct mock_client *client, bool has_pasid,
				   u32 pasid);
unsigned int mock_style_of(struct mock_client *client);
unsigned int mock_features_of(struct mock_client *client);
bool mock_injected(struct mock_client *client, unsigned int what);
int mock_injected_inv(struct mock_client *client);
void mock_bind_held(struct mock_client *client);
void mock_flush(struct mock_client *client, const struct mock_nested *nested);

/* uapi.c */
extern const struct iommu_uapi_ops mock_uapi_ops;

/* iommufd.c */

/* Intel VT-d registers of what the mock can do: section 11.4.2 and 11.4.3 */
#define MOCK_VTD_CAP							\
	(BIT_ULL(60) |			/* FS5LP: five levels */	\
	 BIT_ULL(56) |			/* FS1GP: 1 GiB pages */	\
	 (52ULL << 48) |		/* MAMV: no limit */		\
	 BIT_ULL(39) |			/* PSI: page-selective */	\
	 (MOCK_GPA_BITS - 1ULL) << 16)	/* MGAW */
#define MOCK_VTD_ECAP_PRS	BIT_ULL(29) /* page requests */
#define MOCK_VTD_ECAP_NEST	BIT_ULL(26) /* nested translation */
#define MOCK_VTD_ECAP							\
	(BIT_ULL(47) |			/* FSTS: first stage */		\
	 BIT_ULL(46) |			/* SSTS: second stage */	\
	 BIT_ULL(43) |			/* SMTS: scalable mode */	\
	 BIT_ULL(40) |			/* PASID */			\
	 (MOCK_PASID_BITS - 1ULL) << 35 | /* PSS */			\
	 BIT_ULL(34) |			/* EAFS */			\
	 BIT_ULL(31) |			/* SRS: supervisor requests */	\
	 BIT_ULL(30) |			/* ERS: execute requests */	\
	 MOCK_VTD_ECAP_PRS |						\
	 MOCK_VTD_ECAP_NEST |						\
	 BIT_ULL(2) |			/* DT: device TLB */		\
	 BIT_ULL(1) | BIT_ULL(0))	/* QI, coherent walks */

/* Arm SMMUv3 registers likewise: section 6.3 */
#define MOCK_SMMUV3_IDR0_PRI	BIT(16)
#define MOCK_SMMUV3_IDR0						\
	(BIT(27) |			/* ST_LEVEL: two levels */	\
	 BIT(19) |			/* CD2L: two-level PASID table */ \
	 MOCK_SMMUV3_IDR0_PRI |						\
	 BIT(12) |			/* ASID16 */			\
	 BIT(10) |			/* ATS */			\
	 2 << 6 |			/* HTTU: access flag and dirty */ \
	 BIT(4) |			/* COHACC */			\
	 2 << 2 |			/* TTF: AArch64 */		\
	 BIT(1) | BIT(0))		/* S1P, S2P: both stages */
#define MOCK_SMMUV3_IDR1	((u32)MOCK_PASID_BITS << 6) /* SSIDSIZE */
#define MOCK_SMMUV3_IDR5	(BIT(4) | 5)	/* GRAN4K, OAS: 48 bits */

u64 mock_vtd_ecap(struct mock_client *client);
struct mock_nested *mock_nested_alloc(struct iommu_domain *parent);
struct iommu_domain *mock_domain_alloc_user(struct device *dev, u32 flags,
					    struct iommu_domain *parent,
					    const struct iommu_user_data *data);
void *mock_hw_info(struct device *dev, u32 *length, u32 *type);

/* dma.c */

/**
 * struct mock_access - A request of a device
 * @addr: address
 * @acc: MOCK_ACC_*
 * @has_pasid: it has a PASID
 * @pasid: which
 * @ats: it goes through the device's own TLB
 */
struct mock_access {
	u64 addr;
	unsigned int acc;
	bool has_pasid;
	u32 pasid;
	bool ats;
};

#define MOCK_DMA_MAX_LEN	SZ_64K

int mock_dma(struct mock_client *client, struct mock_dma *dma, void *buf);
int mock_report_unrecoverables(struct mock_client *client, u32 count);

/* fault.c */

/**
 * struct mock_prg - A page request group that the device waits for
 * @node: on @prq_pending or @prq_answered of the device
 * @has_pasid: it has a PASID
 * @pasid: which
 * @grpid: page request group index
 * @code: the answer
 * @waiting: a request of the device is held up by it, otherwise user space
 *	fetches the answer
 * @abandoned: nobody is interested any more
 * @done: with @waiting: answered, or lost in a reset
 */
struct mock_prg {
	struct list_head node;
	bool has_pasid;
	u32 pasid;
	u32 grpid;
	u32 code;
	bool waiting;
	bool abandoned;
	struct completion done;
};

/*
 * PCIe 6.0 section 10.4.1: 9 bits of group index. The device takes the upper
 * half for requests of its own, the lower half is the test program's.
 */
#define MOCK_NR_GRPIDS		512
#define MOCK_PRQ_MAX_PAGES	64

int mock_iopf_init(void);
void mock_iopf_exit(void);
int mock_dev_enable_feat(struct device *dev, enum iommu_dev_features feat);
int mock_dev_disable_feat(struct device *dev, enum iommu_dev_features feat);
void mock_page_response(struct device *dev, struct iopf_fault *evt,
			struct iommu_page_response *msg);

u32 mock_perm(unsigned int acc);
bool mock_prq_enabled(struct mock_client *client,
		      const struct mock_nested *nested);
struct mock_prg *mock_prq_ask(struct mock_client *client,
			      const struct mock_access *access,
			      const u64 *addrs, unsigned int nr);
int mock_prq_wait(struct mock_client *client, struct mock_prg *prg);
int mock_prq_send(struct mock_client *client,
		  const struct mock_page_request *req);
int mock_prq_fetch(struct mock_client *client, struct mock_page_response *resp);
void mock_prq_reset(struct mock_client *client);

/* vdev.c */
int mock_vdev_init(void);

#endif /* __IOMMU_UAPI_MOCK_H */
