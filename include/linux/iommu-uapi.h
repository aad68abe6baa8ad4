/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IOMMU user API inside the kernel: what a user-driver framework calls, and
 * what a vendor IOMMU driver provides. Documentation/driver-api/iommu-uapi.rst
 */
#ifndef __LINUX_IOMMU_UAPI_H
#define __LINUX_IOMMU_UAPI_H

#include <linux/iommu.h>

/*
 * linux/iommu.h has in-kernel types of the same names as some of user space's.
 * Inside the kernel the latter have the prefix uapi_, and get it only here.
 */
#define iommu_fault_type		uapi_iommu_fault_type
#define iommu_fault			uapi_iommu_fault
#define iommu_fault_page_request	uapi_iommu_fault_page_request
#define iommu_page_response		uapi_iommu_page_response
#define iommu_page_response_code	uapi_iommu_page_response_code
#define IOMMU_FAULT_PAGE_REQ		UAPI_IOMMU_FAULT_PAGE_REQ
#define IOMMU_PAGE_RESP_SUCCESS		UAPI_IOMMU_PAGE_RESP_SUCCESS
#define IOMMU_PAGE_RESP_INVALID		UAPI_IOMMU_PAGE_RESP_INVALID
#define IOMMU_PAGE_RESP_FAILURE		UAPI_IOMMU_PAGE_RESP_FAILURE
#include <uapi/linux/iommu.h>
#undef iommu_fault_type
#undef iommu_fault
#undef iommu_fault_page_request
#undef iommu_page_response
#undef iommu_page_response_code
#undef IOMMU_FAULT_PAGE_REQ
#undef IOMMU_PAGE_RESP_SUCCESS
#undef IOMMU_PAGE_RESP_INVALID
#undef IOMMU_PAGE_RESP_FAILURE

struct file;
struct iommu_uapi_ctx;
struct iommu_uapi_dev;

/**
 * union iommu_uapi_payload - Any payload, copied and checked
 * @pasid: PASID request
 * @bind: guest page table to bind or unbind
 * @table: guest PASID table to bind or unbind
 * @inv: invalidation request
 * @batch: invalidation requests
 * @resp: page response
 * @raw: room for the payloads to grow
 *
 * A framework keeps one of these on its stack between the copy step and the
 * call that acts on it.
 */
union iommu_uapi_payload {
	struct iommu_pasid_request pasid;
	struct iommu_gpasid_bind_data bind;
	struct iommu_pasid_table_config table;
	struct iommu_cache_invalidate_info inv;
	struct iommu_cache_invalidate_batch batch;
	struct uapi_iommu_page_response resp;
	u8 raw[128];
};

/**
 * enum iommu_uapi_op - What a payload is passed for
 * @IOMMU_UAPI_PASID_ALLOC: &struct iommu_pasid_request
 * @IOMMU_UAPI_PASID_FREE: &struct iommu_pasid_request
 * @IOMMU_UAPI_BIND_PGTBL: &struct iommu_gpasid_bind_data
 * @IOMMU_UAPI_UNBIND_PGTBL: &struct iommu_gpasid_bind_data
 * @IOMMU_UAPI_BIND_PASID_TABLE: &struct iommu_pasid_table_config
 * @IOMMU_UAPI_UNBIND_PASID_TABLE: &struct iommu_pasid_table_config
 * @IOMMU_UAPI_INVALIDATE: &struct iommu_cache_invalidate_info
 * @IOMMU_UAPI_INVALIDATE_BATCH: &struct iommu_cache_invalidate_batch
 * @IOMMU_UAPI_PAGE_RESPONSE: &struct uapi_iommu_page_response
 * @IOMMU_UAPI_OP_NR: number of operations
 */
enum iommu_uapi_op {
	IOMMU_UAPI_PASID_ALLOC,
	IOMMU_UAPI_PASID_FREE,
	IOMMU_UAPI_BIND_PGTBL,
	IOMMU_UAPI_UNBIND_PGTBL,
	IOMMU_UAPI_BIND_PASID_TABLE,
	IOMMU_UAPI_UNBIND_PASID_TABLE,
	IOMMU_UAPI_INVALIDATE,
	IOMMU_UAPI_INVALIDATE_BATCH,
	IOMMU_UAPI_PAGE_RESPONSE,
	IOMMU_UAPI_OP_NR,
};

/**
 * struct iommu_uapi_bond - One guest translation structure bound to one device
 * @dev: the device, alone in @group
 * @group: its group
 * @stage2: the domain that the group is attached to: a nesting parent
 * @table: a guest PASID table; otherwise a guest page table
 * @pasid: PASID of a guest page table; IOMMU_NO_PASID for the requests without
 *	PASID and for a PASID table
 * @page_requests: page requests are on for the device while the bond exists
 * @priv: for the vendor driver
 * @domain: nested domain that iommu_uapi_attach_domain() attached, or NULL
 *
 * The fields up to @page_requests are set by the core before it calls the
 * vendor driver and constant until &iommu_uapi_ops.unbind has returned. The
 * bond lives longer than that: it is freed after all page requests that name it
 * are answered.
 */
struct iommu_uapi_bond {
	struct device *dev;
	struct iommu_group *group;
	struct iommu_domain *stage2;
	bool table;
	ioasid_t pasid;
	bool page_requests;
	void *priv;
	struct iommu_domain *domain;
	/* private: of the core */
	struct iommu_attach_handle handle;
	struct iommu_uapi_dev *udev;
	u32 gpasid;
	bool has_gpasid;
	bool dev_scope;
	bool dying;
};

/**
 * struct iommu_uapi_ops - What a vendor IOMMU driver does for the user API
 * @info: fill in @info->format, features, addr_width, pasid_bits, caches,
 *	granularities and vendor for @dev on top of @stage2, the domain that its
 *	group is attached to; everything else is zero and stays so. -EOPNOTSUPP
 *	if the device has no nested translation, or not on that domain. May
 *	sleep.
 * @info_merge: optional: reduce @into->vendor to what also holds for @other,
 *	of the same format. Without it, a vendor member that differs between
 *	the devices of a container is not reported for the container.
 * @bind_pgtbl: translate the requests of @bond->dev with @bond->pasid (or
 *	those without PASID) by a guest page table. @data has passed the copy
 *	step, @data->gpgd is 4 KiB aligned; everything that depends on the
 *	hardware is checked here. On return the hardware translates in two
 *	stages, or an error is returned, nothing has changed, and no call of
 *	iommu_report_device_fault() that could name the bond is still running.
 *	May sleep.
 * @bind_pasid_table: have the guest's PASID table translate, or what
 *	@cfg->config says. Called again for a bond in place to replace the
 *	configuration; on error the earlier one stays in force. May sleep.
 * @unbind: undo either. Must not fail: on return the device translates through
 *	nothing of the guest, no new fault names the bond, and no call of
 *	iommu_report_device_fault() that could is still running, for requests
 *	without PASID too. Page requests are still on, and the device is awake.
 *	Must not wait for page responses: none is given before it returns.
 *	PASIDs are unbound before the requests without PASID when a device
 *	goes, but user space may choose another order. May sleep.
 * @invalidate: invalidate caches, and wait until that is done. @inv has passed
 *	the copy step and says which caches, with which granularity. For a page
 *	table the entries of this bond are meant (@inv's own PASID has been used
 *	to find the bond and is not to be looked at); for a PASID table the
 *	selectors in @inv are the guest's. Covering more is allowed, covering
 *	less never. 0 means that the hardware has confirmed it; -ETIMEDOUT or
 *	-EIO that it has not. Several calls may run at the same time. May sleep,
 *	should not allocate.
 *
 * A driver whose device must not change what its requests without PASID get
 * while PASIDs are bound, or the other way round, returns -EBUSY from the bind.
 *
 * The core calls @bind_pgtbl, @bind_pasid_table and @unbind of one device one
 * at a time, and @invalidate neither before the bind has returned nor after
 * @unbind is called.
 */
struct iommu_uapi_ops {
	int (*info)(struct device *dev, struct iommu_domain *stage2,
		    struct iommu_nesting_info *info);
	void (*info_merge)(struct iommu_nesting_info *into,
			   const struct iommu_nesting_info *other);
	int (*bind_pgtbl)(struct iommu_uapi_bond *bond,
			  const struct iommu_gpasid_bind_data *data);
	int (*bind_pasid_table)(struct iommu_uapi_bond *bond,
				const struct iommu_pasid_table_config *cfg);
	void (*unbind)(struct iommu_uapi_bond *bond);
	int (*invalidate)(struct iommu_uapi_bond *bond,
			  const struct iommu_cache_invalidate_info *inv);
};

/* What vendor drivers call, from their iommu_uapi_ops or while bound */
int iommu_uapi_attach_domain(struct iommu_uapi_bond *bond,
			     struct iommu_domain *domain);
void iommu_uapi_detach_domain(struct iommu_uapi_bond *bond);
int iommu_uapi_report_unrecoverable(struct iommu_uapi_bond *bond,
				    const struct iommu_fault_unrecoverable *event);
void iommu_uapi_report_lost(struct iommu_uapi_bond *bond);

/* What user-driver frameworks call */
struct iommu_domain *iommu_uapi_alloc_stage2(struct device *dev);

int iommu_uapi_copy_from_user(union iommu_uapi_payload *payload,
			      enum iommu_uapi_op op,
			      const void __user *from, size_t avail);
int iommu_uapi_copy_to_user(void __user *to, enum iommu_uapi_op op,
			    const union iommu_uapi_payload *payload);
int iommu_uapi_info_to_user(void __user *to, size_t avail,
			    struct iommu_nesting_info *info);

struct iommu_uapi_ctx *iommu_uapi_ctx_alloc(unsigned int pasid_quota);
void iommu_uapi_ctx_free(struct iommu_uapi_ctx *ctx);
int iommu_uapi_attach_group(struct iommu_uapi_ctx *ctx,
			    struct iommu_group *group,
			    struct iommu_domain *stage2);
void iommu_uapi_detach_group(struct iommu_uapi_ctx *ctx,
			     struct iommu_group *group);
void iommu_uapi_close_device(struct iommu_uapi_ctx *ctx, struct device *dev);

int iommu_uapi_get_info(struct iommu_uapi_ctx *ctx, struct device *dev,
			struct iommu_nesting_info *info);
int iommu_uapi_pasid_alloc(struct iommu_uapi_ctx *ctx,
			   struct iommu_pasid_request *req);
int iommu_uapi_pasid_free(struct iommu_uapi_ctx *ctx,
			  const struct iommu_pasid_request *req);
int iommu_uapi_bind_pgtbl(struct iommu_uapi_ctx *ctx, struct device *dev,
			  const struct iommu_gpasid_bind_data *data);
int iommu_uapi_unbind_pgtbl(struct iommu_uapi_ctx *ctx, struct device *dev,
			    const struct iommu_gpasid_bind_data *data);
int iommu_uapi_bind_pasid_table(struct iommu_uapi_ctx *ctx, struct device *dev,
				const struct iommu_pasid_table_config *cfg);
int iommu_uapi_unbind_pasid_table(struct iommu_uapi_ctx *ctx,
				  struct device *dev,
				  const struct iommu_pasid_table_config *cfg);
int iommu_uapi_invalidate(struct iommu_uapi_ctx *ctx, struct device *dev,
			  const struct iommu_cache_invalidate_info *inv);
int iommu_uapi_invalidate_batch(struct iommu_uapi_ctx *ctx, struct device *dev,
				struct iommu_cache_invalidate_batch *batch);
struct file *iommu_uapi_fault_file(struct iommu_uapi_ctx *ctx,
				   struct device *dev);

#endif /* __LINUX_IOMMU_UAPI_H */
