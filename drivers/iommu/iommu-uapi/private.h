/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IOMMU user API, internal to the core
 *
 * Objects and their lifetimes:
 *
 *   iommu_uapi_ctx    one for each container of a user-driver framework; the
 *                     memory, and ->lock, live on while an iommu_uapi_dev does
 *   iommu_uapi_dev    one for each IOMMU group in it, from attach_group() to
 *                     detach_group(); the memory lives on while somebody holds
 *                     a reference, with ->gone set
 *   iommu_uapi_bond   one for each guest structure bound to a device
 *   iommu_uapi_faults what a fault file descriptor reads: lives as long as the
 *                     file, connected to the device until either end goes
 *
 * Locks, outermost first:
 *
 *   ctx->lock         mutex: devices, PASIDs and bindings change. Never taken
 *                     by invalidations, page responses and faults.
 *   all_devs_lock     mutex, leaf: the list of all contexts' devices, in which
 *                     one that leaves the machine is found. Held for no longer
 *                     than the list is looked at or changed.
 *   udev->lock        rwsem: taken for writing while the bonds or the fault
 *                     queue of one device change, for reading while they are
 *                     used (invalidation, page response)
 *   group->mutex and the vendor driver's locks
 *   udev->fault_lock  raw spinlock, leaf, taken with interrupts off: fault queue
 *
 * The fault handlers take nothing but udev->fault_lock, since a vendor driver
 * may wait for them while udev->lock is held for writing. No lock is held across
 * a copy from or to user space, except ->read_lock of a fault queue, which only
 * readers of the same file take.
 */
#ifndef __IOMMU_UAPI_PRIVATE_H
#define __IOMMU_UAPI_PRIVATE_H

#include <linux/iommu-uapi.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

/* PCIe 6.0 section 6.20.2.2: a PASID has 20 bits */
#define IOMMU_UAPI_PASID_BITS	20
#define IOMMU_UAPI_NR_PASIDS	BIT(IOMMU_UAPI_PASID_BITS)

struct iommu_uapi_faults;

struct iommu_uapi_ctx {
	struct kref ref;		/* of the container and of devices */
	struct mutex lock;		/* changes of all that is below */
	struct xarray devs;		/* by iommu_group_id() */
	struct xarray pasids;		/* PASIDs that the context owns */
	unsigned int pasid_quota;
	unsigned int nr_pasids;
};

struct iommu_uapi_dev {
	struct kref ref;
	struct rcu_head rcu;
	struct list_head list;			/* of all contexts' devices */
	struct iommu_uapi_ctx *ctx;
	struct device *dev;
	struct iommu_group *group;
	struct iommu_domain *stage2;
	const struct iommu_uapi_ops *ops;	/* NULL: no nested translation */
	struct iommu_nesting_info info;

	struct rw_semaphore lock;
	bool gone;
	struct xarray bonds;			/* page tables by host PASID */
	struct xarray gpasids;			/* the same by guest PASID */
	unsigned int nr_bonds;

	struct iommu_uapi_bond *table;		/* PASID table; excludes ->bonds */
	struct iommu_pasid_table_config cfg;	/* of ->table */
	struct iommu_pasid_table_config old_cfg; /* what a bind has replaced */
	bool old_dev_scope;
	bool replaced;

	raw_spinlock_t fault_lock;
	struct iommu_uapi_faults *faults;
};

/* context.c */
struct iommu_uapi_dev *iommu_uapi_dev_get(struct iommu_uapi_ctx *ctx,
					  struct device *dev);
struct iommu_uapi_dev *iommu_uapi_dev_next(struct iommu_uapi_ctx *ctx,
					   unsigned long *index);
void iommu_uapi_dev_put(struct iommu_uapi_dev *udev);
bool iommu_uapi_dev_is_alone(struct iommu_uapi_dev *udev);

/* bind.c */
void iommu_uapi_unbind_pasid(struct iommu_uapi_ctx *ctx, ioasid_t pasid);
void iommu_uapi_unbind_dev(struct iommu_uapi_dev *udev, bool dev_scope_only);

/* copy.c */
u32 iommu_uapi_payload_infos(struct iommu_payload_info *infos, u32 max);

/* fault.c */
int iommu_uapi_iopf_handler(struct iopf_group *group);
void iommu_uapi_faults_ignore(struct iommu_uapi_bond *bond);
void iommu_uapi_faults_flush(struct iommu_uapi_bond *bond);
void iommu_uapi_faults_disconnect(struct iommu_uapi_dev *udev);

/* pasid.c */
void iommu_uapi_free_all_pasids(struct iommu_uapi_ctx *ctx);

/* info.c */
void iommu_uapi_dev_init_info(struct iommu_uapi_dev *udev);

#if IS_ENABLED(CONFIG_IOMMU_UAPI_MOCK)
/* Bytes by which payloads have grown in the newer kernel that a test asks for */
#define IOMMU_UAPI_TEST_GROW_MAX	48
extern unsigned int iommu_uapi_test_grow;
#else
#define iommu_uapi_test_grow		0U
#endif

#endif /* __IOMMU_UAPI_PRIVATE_H */
