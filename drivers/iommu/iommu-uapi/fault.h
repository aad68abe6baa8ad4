/* SPDX-License-Identifier: GPL-2.0-only */
/* IOMMU user API: fault queue, for fault.c and its tests */
#ifndef __IOMMU_UAPI_FAULT_H
#define __IOMMU_UAPI_FAULT_H

#include <linux/irq_work.h>
#include <linux/wait.h>
#include <kunit/visibility.h>

#include "private.h"

#define IOMMU_UAPI_FAULT_RING		256	/* records, a power of two */
#define IOMMU_UAPI_FAULT_REQUESTS	512	/* page requests outstanding */
#define IOMMU_UAPI_FAULT_HASH_BITS	6

struct fault_slot {
	struct uapi_iommu_fault rec;		/* type 0: taken out */
	struct iommu_uapi_bond *bond;		/* only compared */
};

struct iommu_uapi_faults {
	struct iommu_uapi_dev *udev;		/* holds a reference */
	wait_queue_head_t wait;
	struct irq_work wake;
	struct mutex read_lock;			/* one reader at a time */

	/* All below: udev->fault_lock */
	bool dead;				/* parted from the device */
	u32 head;				/* sequence number of the next record */
	u32 tail;				/* of the oldest one */
	struct fault_slot *ring;
	struct iommu_fault_lost lost;		/* since the last record */
	size_t nr_requests;			/* outstanding, read or not */
	struct list_head groups[1 << IOMMU_UAPI_FAULT_HASH_BITS];
};

static_assert(!(IOMMU_UAPI_FAULT_RING & (IOMMU_UAPI_FAULT_RING - 1)));

#if IS_ENABLED(CONFIG_KUNIT)
void iommu_uapi_encode_page_request(struct uapi_iommu_fault *rec,
				    const struct iommu_uapi_bond *bond,
				    const struct iommu_fault_page_request *prm);
void iommu_uapi_encode_unrecoverable(struct uapi_iommu_fault *rec,
				     const struct iommu_uapi_bond *bond,
				     const struct iommu_fault_unrecoverable *event);
#endif

#endif /* __IOMMU_UAPI_FAULT_H */
