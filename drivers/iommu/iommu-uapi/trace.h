/* SPDX-License-Identifier: GPL-2.0-only */
/* IOMMU user API: what an operator may want to see happen */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM iommu_uapi

#if !defined(__IOMMU_UAPI_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define __IOMMU_UAPI_TRACE_H

#include <linux/device.h>
#include <linux/iommu-uapi.h>
#include <linux/tracepoint.h>

TRACE_EVENT(iommu_uapi_bind_pgtbl,
	TP_PROTO(const struct iommu_uapi_bond *bond,
		 const struct iommu_gpasid_bind_data *data),
	TP_ARGS(bond, data),
	TP_STRUCT__entry(
		__string(dev, dev_name(bond->dev))
		__field(u32, pasid)
		__field(u64, flags)
		__field(u64, gpasid)
		__field(u64, gpgd)
		__field(u32, addr_width)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->pasid = bond->pasid;
		__entry->flags = data->flags;
		__entry->gpasid = data->gpasid;
		__entry->gpgd = data->gpgd;
		__entry->addr_width = data->addr_width;
	),
	TP_printk("dev=%s pasid=%u flags=%#llx gpasid=%llu gpgd=%#llx addr_width=%u",
		  __get_str(dev), __entry->pasid, __entry->flags,
		  __entry->gpasid, __entry->gpgd, __entry->addr_width)
);

TRACE_EVENT(iommu_uapi_bind_pasid_table,
	TP_PROTO(const struct iommu_uapi_bond *bond,
		 const struct iommu_pasid_table_config *cfg),
	TP_ARGS(bond, cfg),
	TP_STRUCT__entry(
		__string(dev, dev_name(bond->dev))
		__field(u8, config)
		__field(u8, pasid_bits)
		__field(u64, base_ptr)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->config = cfg->config;
		__entry->pasid_bits = cfg->pasid_bits;
		__entry->base_ptr = cfg->base_ptr;
	),
	TP_printk("dev=%s config=%u pasid_bits=%u base_ptr=%#llx",
		  __get_str(dev), __entry->config, __entry->pasid_bits,
		  __entry->base_ptr)
);

TRACE_EVENT(iommu_uapi_unbind,
	TP_PROTO(const struct iommu_uapi_bond *bond),
	TP_ARGS(bond),
	TP_STRUCT__entry(
		__string(dev, dev_name(bond->dev))
		__field(u32, pasid)
		__field(bool, table)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->pasid = bond->pasid;
		__entry->table = bond->table;
	),
	TP_printk("dev=%s %s pasid=%u", __get_str(dev),
		  __entry->table ? "PASID table" : "page table", __entry->pasid)
);

TRACE_EVENT(iommu_uapi_invalidate,
	TP_PROTO(const struct iommu_uapi_bond *bond,
		 const struct iommu_cache_invalidate_info *inv, int ret),
	TP_ARGS(bond, inv, ret),
	TP_STRUCT__entry(
		__string(dev, dev_name(bond->dev))
		__field(u32, pasid)
		__field(u8, cache)
		__field(u8, granularity)
		__field(u64, addr)
		__field(u64, size)
		__field(int, ret)
	),
	TP_fast_assign(
		const struct iommu_inv_addr_info *addr = &inv->granu.addr_info;
		bool ranged = inv->granularity == IOMMU_INV_GRANU_ADDR;

		__assign_str(dev);
		__entry->pasid = bond->pasid;
		__entry->cache = inv->cache;
		__entry->granularity = inv->granularity;
		__entry->addr = ranged ? addr->addr : 0;
		__entry->size = ranged ? addr->granule_size * addr->nb_granules : 0;
		__entry->ret = ret;
	),
	TP_printk("dev=%s pasid=%u cache=%#x granularity=%u addr=%#llx size=%#llx ret=%d",
		  __get_str(dev), __entry->pasid, __entry->cache,
		  __entry->granularity, __entry->addr, __entry->size,
		  __entry->ret)
);

TRACE_EVENT(iommu_uapi_page_request,
	TP_PROTO(const struct iommu_uapi_bond *bond,
		 const struct iommu_fault_page_request *last, size_t nr),
	TP_ARGS(bond, last, nr),
	TP_STRUCT__entry(
		__string(dev, dev_name(bond->dev))
		__field(u32, pasid)
		__field(u32, grpid)
		__field(u64, addr)
		__field(u32, perm)
		__field(u32, nr)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->pasid = last->pasid;
		__entry->grpid = last->grpid;
		__entry->addr = last->addr;
		__entry->perm = last->perm;
		__entry->nr = nr;
	),
	TP_printk("dev=%s pasid=%u grpid=%u nr=%u last addr=%#llx perm=%#x",
		  __get_str(dev), __entry->pasid, __entry->grpid, __entry->nr,
		  __entry->addr, __entry->perm)
);

TRACE_EVENT(iommu_uapi_response,
	TP_PROTO(const struct iommu_uapi_bond *bond,
		 const struct iommu_fault_page_request *last, u32 code),
	TP_ARGS(bond, last, code),
	TP_STRUCT__entry(
		__string(dev, dev_name(bond->dev))
		__field(u32, pasid)
		__field(u32, grpid)
		__field(u32, code)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->pasid = last->pasid;
		__entry->grpid = last->grpid;
		__entry->code = code;
	),
	TP_printk("dev=%s pasid=%u grpid=%u code=%u", __get_str(dev),
		  __entry->pasid, __entry->grpid, __entry->code)
);

TRACE_EVENT(iommu_uapi_unrecoverable,
	TP_PROTO(const struct iommu_uapi_bond *bond,
		 const struct iommu_fault_unrecoverable *event, int ret),
	TP_ARGS(bond, event, ret),
	TP_STRUCT__entry(
		__string(dev, dev_name(bond->dev))
		__field(u32, reason)
		__field(u32, flags)
		__field(u32, pasid)
		__field(u32, perm)
		__field(u64, addr)
		__field(int, ret)
	),
	TP_fast_assign(
		__assign_str(dev);
		__entry->reason = event->reason;
		__entry->flags = event->flags;
		__entry->pasid = event->pasid;
		__entry->perm = event->perm;
		__entry->addr = event->addr;
		__entry->ret = ret;
	),
	TP_printk("dev=%s reason=%u flags=%#x pasid=%u perm=%#x addr=%#llx ret=%d",
		  __get_str(dev), __entry->reason, __entry->flags,
		  __entry->pasid, __entry->perm, __entry->addr, __entry->ret)
);

#endif /* __IOMMU_UAPI_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
