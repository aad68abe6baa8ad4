// SPDX-License-Identifier: GPL-2.0-only
/*
 * The four size cases of each payload of the IOMMU user API, in each wrapper
 * that carries it.
 *
 * One table (forms[]) describes each form that a payload can take: how long it
 * is, how much of it this form needs, which flags it knows, what must be zero,
 * how to make a valid one, and how to see that it did its work. The tests below
 * are about forms in general, and run for each form and wrapper.
 *
 * Whatever is passed ends where the test's memory ends, so that a kernel which
 * reads one byte more than it was given answers EFAULT.
 */
#include <sys/uio.h>

#include "../kselftest_harness.h"
#include "iommu_uapi_utils.h"

#define TEST_PASID	0x123
#define TEST_GPASID	0x77
#define TEST_GRPID	5
#define TEST_VA		0x7f1234567000ULL

/* Any payload, with room to pass more than the kernel knows */
union payload {
	struct iommu_pasid_request pasid;
	struct iommu_gpasid_bind_data bind;
	struct iommu_pasid_table_config table;
	struct iommu_cache_invalidate_info inv;
	struct iommu_cache_invalidate_batch batch;
	struct iommu_page_response resp;
	struct {
		__u32 argsz;
		__u32 version;
	};
	__u8 bytes[WRAPPER_ROOM];
};

struct form;

/* For the functions that forms[] names */
#define payload_test	FIXTURE_DATA(payload)

FIXTURE(payload)
{
	struct vmm vmm;
	struct scope scope;
	const struct form *form;
	struct guest_pt pt;
	__u64 page;
	__u64 cd_table;
	__u32 pasid;
	int fault;
	size_t page_size;
	/* The memory in which calls are made, and its end */
	__u8 *arena;
	__u8 *edge;
	/* For the batch around an entry, and for a batch to have an entry */
	struct iommu_cache_invalidate_info entry;
	__u32 done;
	/* form->prepare() has been called, and nothing has succeeded since */
	bool ready;
};

FIXTURE_VARIANT(payload)
{
	unsigned int form;
	bool device;
};

enum wrapper_kind {
	WRAPPER_IOCTL,		/* container ioctl or device feature */
	WRAPPER_WRITE,		/* write() to the fault file descriptor */
	WRAPPER_BATCH,		/* entry of a batch */
};

/*
 * @size: of the whole payload
 * @need: bytes without which this form makes no sense
 * @flags: masks of known flags, wherever the form has such a field
 * @zero: ranges of bytes that must be zero
 * @fill: make a valid payload of this form, with argsz = size
 * @prepare: let the next call succeed
 * @worked: see that it did what it says
 * @undo: let a call be prepared again
 */
struct form {
	const char *name;
	enum nesting_op op;
	enum wrapper_kind wrapper;
	bool table_style;
	unsigned int id;
	size_t size;
	size_t need;
	struct {
		size_t offset;
		unsigned int bits;
		__u64 known;
	} flags[3];
	struct {
		size_t start;
		size_t end;
	} zero[3];
	void (*fill)(payload_test *self, union payload *payload);
	int (*prepare)(payload_test *self);
	bool (*worked)(payload_test *self,
		       const union payload *payload);
	int (*undo)(payload_test *self);
};

static int nothing_to_do(payload_test *self)
{
	return 0;
}

static bool dma_works(payload_test *self)
{
	__u64 want = fresh_value(), got = 0;

	guest_write(&self->vmm, self->page, want);
	return !mock_dma_read(self->vmm.dev[0], 0, self->pasid, TEST_VA, &got) &&
	       got == want;
}

static bool dma_is_stopped(payload_test *self)
{
	__u64 got = 0;

	return mock_dma_read(self->vmm.dev[0], 0, self->pasid, TEST_VA, &got) ==
	       MOCK_DMA_BLOCKED;
}

/* PASID requests */
static void fill_pasid(payload_test *self, union payload *payload)
{
	payload->pasid = (struct iommu_pasid_request) {
		.argsz = sizeof(payload->pasid),
		.version = IOMMU_UAPI_VERSION_1,
		.min = TEST_PASID,
		.max = TEST_PASID,
	};
}

static bool alloc_worked(payload_test *self,
			 const union payload *payload)
{
	return payload->pasid.pasid == TEST_PASID;
}

static int alloc_undo(payload_test *self)
{
	return _test_cmd_pasid_free(self->vmm.container, TEST_PASID, TEST_PASID);
}

static int free_prepare(payload_test *self)
{
	__u32 pasid;

	return _test_cmd_pasid_alloc(self->vmm.container, TEST_PASID,
				     TEST_PASID, &pasid);
}

static bool free_worked(payload_test *self,
			const union payload *payload)
{
	return _test_cmd_pasid_free(self->vmm.container, TEST_PASID,
				    TEST_PASID) == -1 && errno == ENOENT;
}

/* Page tables */
static void fill_bind(payload_test *self, union payload *payload)
{
	payload->bind = bind_data(&self->pt, self->pasid);
}

static void fill_unbind(payload_test *self, union payload *payload)
{
	payload->bind = (struct iommu_gpasid_bind_data) {
		.argsz = sizeof(payload->bind),
		.version = IOMMU_UAPI_VERSION_1,
		.hpasid = self->pasid,
	};
}

static bool bind_worked(payload_test *self,
			const union payload *payload)
{
	return mock_stats(self->vmm.dev[0]).bonds == 1 && dma_works(self);
}

static int bind_prepare(payload_test *self)
{
	return _test_cmd_bind(self->scope, &self->pt, self->pasid);
}

static int bind_undo(payload_test *self)
{
	return _test_cmd_unbind(self->scope, self->pasid);
}

static bool unbind_worked(payload_test *self,
			  const union payload *payload)
{
	return !mock_stats(self->vmm.dev[0]).bonds && dma_is_stopped(self);
}

/* PASID tables */
static void fill_table(payload_test *self, union payload *payload)
{
	payload->table = table_config(IOMMU_PASID_CONFIG_TRANSLATE,
				      self->cd_table, 4);
}

static void fill_table_bypass(payload_test *self,
			      union payload *payload)
{
	payload->table = table_config(IOMMU_PASID_CONFIG_BYPASS, 0, 0);
}

static void fill_table_unbind(payload_test *self,
			      union payload *payload)
{
	payload->table = (struct iommu_pasid_table_config) {
		.argsz = sizeof(payload->table),
		.version = IOMMU_UAPI_VERSION_1,
	};
}

static bool table_worked(payload_test *self,
			 const union payload *payload)
{
	return mock_stats(self->vmm.dev[0]).bonds == 1;
}

static int table_prepare(payload_test *self)
{
	return _test_cmd_bind_table(self->scope,
				    table_config(IOMMU_PASID_CONFIG_TRANSLATE,
						 self->cd_table, 4));
}

static int table_undo(payload_test *self)
{
	return _test_cmd_unbind_table(self->scope);
}

static bool table_unbind_worked(payload_test *self,
				const union payload *payload)
{
	return !mock_stats(self->vmm.dev[0]).bonds;
}

/* Invalidation */
static void fill_inv_domain(payload_test *self, union payload *payload)
{
	payload->inv = inv_domain(IOMMU_CACHE_INV_TYPE_IOTLB);
	payload->inv.argsz = sizeof(payload->inv);
}

static void fill_inv_pasid(payload_test *self, union payload *payload)
{
	payload->inv = inv_pasid(IOMMU_CACHE_INV_TYPE_IOTLB, self->pasid);
	payload->inv.argsz = sizeof(payload->inv);
}

static void fill_inv_addr(payload_test *self, union payload *payload)
{
	payload->inv = inv_addr(IOMMU_CACHE_INV_TYPE_IOTLB, self->pasid,
				TEST_VA, SZ_4K, 1);
}

static void fill_batch(payload_test *self, union payload *payload)
{
	self->entry = inv_pasid(IOMMU_CACHE_INV_TYPE_IOTLB, self->pasid);
	payload->batch = (struct iommu_cache_invalidate_batch) {
		.argsz = sizeof(payload->batch),
		.version = IOMMU_UAPI_VERSION_1,
		.entry_size = sizeof(self->entry),
		.count = 1,
		.entries = (uintptr_t)&self->entry,
	};
}

/* Something is in the cache */
static int inv_prepare(payload_test *self)
{
	if (!mock_stats(self->vmm.dev[0]).bonds && bind_prepare(self))
		return -1;
	return dma_works(self) &&
	       mock_stats(self->vmm.dev[0]).iotlb_entries ? 0 : -1;
}

static bool inv_worked(payload_test *self,
		       const union payload *payload)
{
	return !mock_stats(self->vmm.dev[0]).iotlb_entries;
}

static bool entry_worked(payload_test *self,
			 const union payload *payload)
{
	return self->done == 1 && inv_worked(self, payload);
}

static bool batch_worked(payload_test *self,
			 const union payload *payload)
{
	return payload->batch.done == 1 && inv_worked(self, payload);
}

/* Page response */
static void fill_resp(payload_test *self, union payload *payload)
{
	payload->resp = page_response(0, self->pasid, TEST_GRPID,
				      IOMMU_PAGE_RESP_SUCCESS);
}

static int resp_prepare(payload_test *self)
{
	struct iommu_fault record;

	if (!mock_stats(self->vmm.dev[0]).bonds && bind_prepare(self))
		return -1;
	if (_test_cmd_page_request(self->vmm.dev[0], 0, self->pasid,
				   TEST_GRPID, TEST_VA, 1,
				   IOMMU_FAULT_PERM_READ))
		return -1;
	return _test_cmd_fault_read(self->fault, &record);
}

static bool resp_worked(payload_test *self,
			const union payload *payload)
{
	struct mock_page_response resp;

	return !_test_cmd_device_gets(self->vmm.dev[0], &resp) &&
	       resp.grpid == TEST_GRPID && resp.code == IOMMU_PAGE_RESP_SUCCESS;
}

#define BIND(member)	offsetof(struct iommu_gpasid_bind_data, member)
#define BIND_END(member) offsetofend(struct iommu_gpasid_bind_data, member)
#define TABLE(member)	offsetof(struct iommu_pasid_table_config, member)
#define TABLE_END(member) offsetofend(struct iommu_pasid_table_config, member)
#define INV(member)	offsetof(struct iommu_cache_invalidate_info, member)
#define INV_END(member)	offsetofend(struct iommu_cache_invalidate_info, member)
#define BATCH(member)	offsetof(struct iommu_cache_invalidate_batch, member)
#define BATCH_END(member) offsetofend(struct iommu_cache_invalidate_batch, member)
#define PASID(member)	offsetof(struct iommu_pasid_request, member)
#define PASID_END(member) offsetofend(struct iommu_pasid_request, member)

/* What all forms of one payload have in common */
#define PASID_FORM						\
	.id = IOMMU_PAYLOAD_PASID_REQUEST,			\
	.size = sizeof(struct iommu_pasid_request),		\
	.fill = fill_pasid,					\
	.flags = { { PASID(flags), 32, 0 } }
#define PGTBL_FORM						\
	.id = IOMMU_PAYLOAD_BIND_PGTBL,				\
	.size = sizeof(struct iommu_gpasid_bind_data),		\
	.flags = {						\
		{ BIND(flags), 64, IOMMU_SVA_GPASID_VAL |	\
				   IOMMU_SVA_NO_PASID },	\
		{ BIND(vendor.vtd.flags), 64,			\
		  IOMMU_SVA_VTD_GPASID_SRE |			\
		  IOMMU_SVA_VTD_GPASID_EAFE |			\
		  IOMMU_SVA_VTD_GPASID_WPE },			\
	}
#define UNBIND_FORM						\
	.id = IOMMU_PAYLOAD_BIND_PGTBL,				\
	.size = sizeof(struct iommu_gpasid_bind_data),		\
	.flags = {						\
		{ BIND(flags), 64, IOMMU_SVA_GPASID_VAL |	\
				   IOMMU_SVA_NO_PASID },	\
	}
#define TABLE_FORM						\
	.id = IOMMU_PAYLOAD_BIND_PASID_TABLE,			\
	.table_style = true,					\
	.size = sizeof(struct iommu_pasid_table_config),	\
	.flags = { { TABLE(flags), 32, IOMMU_PASID_TABLE_DEVTLB } }
#define INV_FORM						\
	.id = IOMMU_PAYLOAD_CACHE_INVALIDATE,			\
	.size = sizeof(struct iommu_cache_invalidate_info),	\
	.zero = { { INV(padding), INV_END(padding) } },		\
	.prepare = inv_prepare,					\
	.undo = nothing_to_do
#define INV_CACHES						\
	{ INV(cache), 8, IOMMU_CACHE_INV_TYPE_IOTLB |		\
			 IOMMU_CACHE_INV_TYPE_DEV_IOTLB |	\
			 IOMMU_CACHE_INV_TYPE_PASID }
#define INV_PASID_FLAGS						\
	{ INV(granu.pasid_info.flags), 32,			\
	  IOMMU_INV_PASID_FLAGS_PASID |				\
	  IOMMU_INV_PASID_FLAGS_ARCHID |			\
	  IOMMU_INV_PASID_FLAGS_GPASID |			\
	  IOMMU_INV_PASID_FLAGS_NO_PASID }
#define INV_ADDR_FLAGS						\
	{ INV(granu.addr_info.flags), 32,			\
	  IOMMU_INV_ADDR_FLAGS_PASID |				\
	  IOMMU_INV_ADDR_FLAGS_ARCHID |				\
	  IOMMU_INV_ADDR_FLAGS_LEAF |				\
	  IOMMU_INV_ADDR_FLAGS_GPASID |				\
	  IOMMU_INV_ADDR_FLAGS_NO_PASID }

enum {
	FORM_ALLOC,
	FORM_FREE,
	FORM_BIND,
	FORM_UNBIND,
	FORM_TABLE,
	FORM_TABLE_BYPASS,
	FORM_TABLE_UNBIND,
	FORM_INV_DOMAIN,
	FORM_INV_PASID,
	FORM_INV_ADDR,
	FORM_BATCH,
	FORM_ENTRY_DOMAIN,
	FORM_ENTRY_PASID,
	FORM_ENTRY_ADDR,
	FORM_RESPONSE,
};

static const struct form forms[] = {
	[FORM_ALLOC] = {
		.name = "PASID allocation",
		PASID_FORM,
		.op = OP_PASID_ALLOC,
		.need = sizeof(struct iommu_pasid_request),
		.zero = { { PASID(pasid), PASID_END(pasid) } },
		.prepare = nothing_to_do,
		.worked = alloc_worked,
		.undo = alloc_undo,
	},
	[FORM_FREE] = {
		.name = "PASID free",
		PASID_FORM,
		.op = OP_PASID_FREE,
		.need = PASID_END(max),
		.prepare = free_prepare,
		.worked = free_worked,
		.undo = nothing_to_do,
	},
	[FORM_BIND] = {
		.name = "page table bind",
		PGTBL_FORM,
		.op = OP_BIND_PGTBL,
		.need = BIND_END(vendor.vtd),
		.zero = {
			{ BIND(padding), BIND_END(padding) },
			{ BIND(vendor.vtd.pat), BIND_END(vendor.vtd.emt) },
		},
		.fill = fill_bind,
		.prepare = nothing_to_do,
		.worked = bind_worked,
		.undo = bind_undo,
	},
	[FORM_UNBIND] = {
		.name = "page table unbind",
		UNBIND_FORM,
		.op = OP_UNBIND_PGTBL,
		.need = BIND_END(gpasid),
		.zero = { { BIND(padding), BIND_END(padding) } },
		.fill = fill_unbind,
		.prepare = bind_prepare,
		.worked = unbind_worked,
		.undo = nothing_to_do,
	},
	[FORM_TABLE] = {
		.name = "PASID table bind",
		TABLE_FORM,
		.op = OP_BIND_PASID_TABLE,
		.need = TABLE_END(vendor.smmuv3),
		.zero = {
			{ TABLE(padding), TABLE_END(padding) },
			{ TABLE(vendor.smmuv3.padding),
			  TABLE_END(vendor.smmuv3.padding) },
		},
		.fill = fill_table,
		.prepare = nothing_to_do,
		.worked = table_worked,
		.undo = table_undo,
	},
	[FORM_TABLE_BYPASS] = {
		.name = "PASID table bypass",
		TABLE_FORM,
		.op = OP_BIND_PASID_TABLE,
		.need = TABLE_END(base_ptr),
		.zero = { { TABLE(padding), TABLE_END(padding) } },
		.fill = fill_table_bypass,
		.prepare = nothing_to_do,
		.worked = table_worked,
		.undo = table_undo,
	},
	[FORM_TABLE_UNBIND] = {
		.name = "PASID table unbind",
		TABLE_FORM,
		.op = OP_UNBIND_PASID_TABLE,
		.need = TABLE_END(padding),
		.zero = { { TABLE(padding), TABLE_END(padding) } },
		.fill = fill_table_unbind,
		.prepare = table_prepare,
		.worked = table_unbind_worked,
		.undo = nothing_to_do,
	},
	[FORM_INV_DOMAIN] = {
		.name = "invalidation of a domain",
		INV_FORM,
		.op = OP_INVALIDATE,
		.need = INV(granu),
		.flags = { INV_CACHES },
		.fill = fill_inv_domain,
		.worked = inv_worked,
	},
	[FORM_INV_PASID] = {
		.name = "invalidation of a PASID",
		INV_FORM,
		.op = OP_INVALIDATE,
		.need = INV_END(granu.pasid_info),
		.flags = { INV_CACHES, INV_PASID_FLAGS },
		.fill = fill_inv_pasid,
		.worked = inv_worked,
	},
	[FORM_INV_ADDR] = {
		.name = "invalidation of addresses",
		INV_FORM,
		.op = OP_INVALIDATE,
		.need = INV_END(granu.addr_info),
		.flags = { INV_CACHES, INV_ADDR_FLAGS },
		.fill = fill_inv_addr,
		.worked = inv_worked,
	},
	[FORM_BATCH] = {
		.name = "invalidation batch",
		.id = IOMMU_PAYLOAD_CACHE_INVALIDATE_BATCH,
		.op = OP_INVALIDATE_BATCH,
		.size = sizeof(struct iommu_cache_invalidate_batch),
		.need = sizeof(struct iommu_cache_invalidate_batch),
		.flags = { { BATCH(flags), 32, 0 } },
		.zero = { { BATCH(done), BATCH_END(done) } },
		.fill = fill_batch,
		.prepare = inv_prepare,
		.worked = batch_worked,
		.undo = nothing_to_do,
	},
	[FORM_ENTRY_DOMAIN] = {
		.name = "batch entry for a domain",
		INV_FORM,
		.wrapper = WRAPPER_BATCH,
		.need = INV(granu),
		.flags = { INV_CACHES },
		.fill = fill_inv_domain,
		.worked = entry_worked,
	},
	[FORM_ENTRY_PASID] = {
		.name = "batch entry for a PASID",
		INV_FORM,
		.wrapper = WRAPPER_BATCH,
		.need = INV_END(granu.pasid_info),
		.flags = { INV_CACHES, INV_PASID_FLAGS },
		.fill = fill_inv_pasid,
		.worked = entry_worked,
	},
	[FORM_ENTRY_ADDR] = {
		.name = "batch entry for addresses",
		INV_FORM,
		.wrapper = WRAPPER_BATCH,
		.need = INV_END(granu.addr_info),
		.flags = { INV_CACHES, INV_ADDR_FLAGS },
		.fill = fill_inv_addr,
		.worked = entry_worked,
	},
	[FORM_RESPONSE] = {
		.name = "page response",
		.id = IOMMU_PAYLOAD_PAGE_RESPONSE,
		.wrapper = WRAPPER_WRITE,
		.size = sizeof(struct iommu_page_response),
		.need = sizeof(struct iommu_page_response),
		.flags = {
			{ offsetof(struct iommu_page_response, flags), 32,
			  IOMMU_PAGE_RESP_PASID_VALID | IOMMU_PAGE_RESP_GPASID },
		},
		.fill = fill_resp,
		.prepare = resp_prepare,
		.worked = resp_worked,
		.undo = nothing_to_do,
	},
};

/* One by one, since the harness wants names: each form in each wrapper */
FIXTURE_VARIANT_ADD(payload, pasid_alloc)
{
	.form = FORM_ALLOC,
};

FIXTURE_VARIANT_ADD(payload, pasid_free)
{
	.form = FORM_FREE,
};

FIXTURE_VARIANT_ADD(payload, bind)
{
	.form = FORM_BIND,
};

FIXTURE_VARIANT_ADD(payload, bind_device)
{
	.form = FORM_BIND,
	.device = true,
};

FIXTURE_VARIANT_ADD(payload, unbind)
{
	.form = FORM_UNBIND,
};

FIXTURE_VARIANT_ADD(payload, unbind_device)
{
	.form = FORM_UNBIND,
	.device = true,
};

FIXTURE_VARIANT_ADD(payload, table)
{
	.form = FORM_TABLE,
};

FIXTURE_VARIANT_ADD(payload, table_device)
{
	.form = FORM_TABLE,
	.device = true,
};

FIXTURE_VARIANT_ADD(payload, table_bypass)
{
	.form = FORM_TABLE_BYPASS,
};

FIXTURE_VARIANT_ADD(payload, table_bypass_device)
{
	.form = FORM_TABLE_BYPASS,
	.device = true,
};

FIXTURE_VARIANT_ADD(payload, table_unbind)
{
	.form = FORM_TABLE_UNBIND,
};

FIXTURE_VARIANT_ADD(payload, table_unbind_device)
{
	.form = FORM_TABLE_UNBIND,
	.device = true,
};

FIXTURE_VARIANT_ADD(payload, inv_domain)
{
	.form = FORM_INV_DOMAIN,
};

FIXTURE_VARIANT_ADD(payload, inv_domain_device)
{
	.form = FORM_INV_DOMAIN,
	.device = true,
};

FIXTURE_VARIANT_ADD(payload, inv_pasid)
{
	.form = FORM_INV_PASID,
};

FIXTURE_VARIANT_ADD(payload, inv_pasid_device)
{
	.form = FORM_INV_PASID,
	.device = true,
};

FIXTURE_VARIANT_ADD(payload, inv_addr)
{
	.form = FORM_INV_ADDR,
};

FIXTURE_VARIANT_ADD(payload, inv_addr_device)
{
	.form = FORM_INV_ADDR,
	.device = true,
};

FIXTURE_VARIANT_ADD(payload, batch)
{
	.form = FORM_BATCH,
};

FIXTURE_VARIANT_ADD(payload, batch_device)
{
	.form = FORM_BATCH,
	.device = true,
};

FIXTURE_VARIANT_ADD(payload, entry_domain)
{
	.form = FORM_ENTRY_DOMAIN,
};

FIXTURE_VARIANT_ADD(payload, entry_domain_device)
{
	.form = FORM_ENTRY_DOMAIN,
	.device = true,
};

FIXTURE_VARIANT_ADD(payload, entry_pasid)
{
	.form = FORM_ENTRY_PASID,
};

FIXTURE_VARIANT_ADD(payload, entry_pasid_device)
{
	.form = FORM_ENTRY_PASID,
	.device = true,
};

FIXTURE_VARIANT_ADD(payload, entry_addr)
{
	.form = FORM_ENTRY_ADDR,
};

FIXTURE_VARIANT_ADD(payload, entry_addr_device)
{
	.form = FORM_ENTRY_ADDR,
	.device = true,
};

FIXTURE_VARIANT_ADD(payload, response)
{
	.form = FORM_RESPONSE,
};

FIXTURE_SETUP(payload)
{
	const struct form *form = &forms[variant->form];

	if (!mock_present())
		SKIP(return, "no mock hardware");

	self->form = form;
	self->page_size = sysconf(_SC_PAGE_SIZE);
	self->fault = -1;
	self->arena = mmap(NULL, 4 * self->page_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->arena != MAP_FAILED);
	self->edge = self->arena + 3 * self->page_size;
	ASSERT_EQ(0, mprotect(self->edge, self->page_size, PROT_NONE));

	ASSERT_EQ(0, param_set(PARAM_MOCK("lack"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("grow"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("style"), form->table_style));
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_EQ(0, vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
	self->scope = variant->device ? device_scope(&self->vmm, 0) :
					container_scope(&self->vmm);

	guest_pt_init(&self->pt, &self->vmm,
		      form->table_style ? GUEST_PT_ARM : GUEST_PT_VTD, 4);
	self->page = guest_page(&self->vmm);
	guest_map(&self->pt, TEST_VA, self->page);
	self->cd_table = guest_page(&self->vmm);
	if (!form->table_style)
		test_cmd_pasid_alloc(self->vmm.container, 1, TEST_PASID - 1,
				     &self->pasid);
	if (form->wrapper == WRAPPER_WRITE) {
		self->fault = fault_open(self->vmm.dev[0]);
		ASSERT_LE(0, self->fault);
	}
}

FIXTURE_TEARDOWN(payload)
{
	close_fd(&self->fault);
	vmm_close(&self->vmm);
	params_restore();
}

/*
 * Pass @room bytes of @payload, of which the last @hidden ones are not there.
 * What the kernel wrote is in @payload afterwards.
 */
static int form_call(payload_test *self, union payload *payload,
		     size_t room, size_t hidden)
{
	const struct form *form = self->form;
	__u8 *at = self->edge - (room - hidden);
	struct wrapper head;
	int ret;

	memcpy(at, payload, room - hidden);
	switch (form->wrapper) {
	case WRAPPER_WRITE:
		ret = write(self->fault, at, room);
		return ret < 0 ? -1 : 0;
	case WRAPPER_BATCH:
		return _test_cmd_inv_batch(self->scope, at, room, 1,
					   &self->done);
	default:
		head.argsz = sizeof(head) + room;
		head.flags = nesting_flags(self->scope, form->op);
		memcpy(at - sizeof(head), &head, sizeof(head));
		ret = nesting_ioctl(self->scope, form->op, at - sizeof(head));
		memcpy(payload, at, room - hidden);
		return ret;
	}
}

/* A valid payload, and a state in which it must succeed */
static void form_ready(struct __test_metadata *_metadata,
		       payload_test *self, union payload *payload)
{
	if (!self->ready) {
		ASSERT_EQ(0, self->form->prepare(self)) {
			TH_LOG("%s: cannot prepare", self->form->name);
		}
	}
	self->ready = true;
	memset(payload, 0, sizeof(*payload));
	self->form->fill(self, payload);
}

/* After a call that succeeded */
static void form_succeeded(struct __test_metadata *_metadata,
			   payload_test *self,
			   const union payload *payload)
{
	EXPECT_TRUE(self->form->worked(self, payload)) {
		TH_LOG("%s: reported success, but nothing happened",
		       self->form->name);
	}
	ASSERT_EQ(0, self->form->undo(self));
	self->ready = false;
}

static void form_works(struct __test_metadata *_metadata,
		       payload_test *self, union payload *payload,
		       size_t room)
{
	__u32 argsz = payload->argsz;

	ASSERT_EQ(0, form_call(self, payload, room, 0)) {
		TH_LOG("%s: argsz %u in %zu bytes: %s", self->form->name, argsz,
		       room, strerror(errno));
	}
	form_succeeded(_metadata, self, payload);
}

/* The call fails with @err, and has changed nothing */
static void form_fails(struct __test_metadata *_metadata,
		       payload_test *self, int err,
		       union payload *payload, size_t room, size_t hidden,
		       const char *what, unsigned long which)
{
	struct mock_stats before = mock_stats(self->vmm.dev[0]), after;
	__u32 argsz = payload->argsz;
	int ret, got;

	self->done = 0;
	ret = form_call(self, payload, room, hidden);
	got = errno;
	after = mock_stats(self->vmm.dev[0]);

	ASSERT_EQ(-1, ret) {
		TH_LOG("%s: %s %lu passed (argsz %u in %zu bytes)",
		       self->form->name, what, which, argsz, room);
	}
	EXPECT_EQ(err, got) {
		TH_LOG("%s: %s %lu: %s", self->form->name, what, which,
		       strerror(got));
	}
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before))) {
		TH_LOG("%s: %s %lu changed something", self->form->name, what,
		       which);
	}
	EXPECT_EQ(0, self->done);
}

/* After all that failed: what should have been there all the time still is */
static void form_still_works(struct __test_metadata *_metadata,
			     payload_test *self)
{
	union payload payload;

	form_ready(_metadata, self, &payload);
	form_works(_metadata, self, &payload, self->form->size);
}

/* Case 1, and again, so that the tests can rely on undo */
TEST_F(payload, exact)
{
	form_still_works(_metadata, self);
	form_still_works(_metadata, self);
}

/* Case 2: all that an older user may pass, down to what the form needs */
TEST_F(payload, older_user)
{
	union payload payload;
	__u32 argsz;

	for (argsz = self->form->need; argsz < self->form->size; argsz++) {
		form_ready(_metadata, self, &payload);
		payload.argsz = argsz;
		form_works(_metadata, self, &payload, argsz);
	}
	form_still_works(_metadata, self);
}

/* Case 2 from the other side: the kernel is newer than the header */
TEST_F(payload, older_user_of_grown_kernel)
{
	static const unsigned int grow[] = { 1, 8, 48 };
	struct iommu_nesting_info info = { .argsz = sizeof(info) };
	const struct form *form = self->form;
	union payload payload;
	unsigned int i, id;
	__u32 argsz;

	for (i = 0; i < ARRAY_SIZE(grow); i++) {
		size_t size = form->size + grow[i], told = 0;

		ASSERT_EQ(0, param_set(PARAM_MOCK("grow"), grow[i]));
		ASSERT_DONE(_test_cmd_get_device_info(self->vmm.dev[0], &info,
						      sizeof(info)));
		for (id = 0; id < info.nr_payloads; id++)
			if (info.payloads[id].id == form->id)
				told = info.payloads[id].size;
		EXPECT_EQ(size, told);

		/* Exact for this header */
		form_still_works(_metadata, self);
		form_ready(_metadata, self, &payload);
		payload.argsz = form->need;
		form_works(_metadata, self, &payload, form->need);
		/* Exact for the kernel, and beyond */
		form_ready(_metadata, self, &payload);
		payload.argsz = size;
		form_works(_metadata, self, &payload, size);
		form_ready(_metadata, self, &payload);
		payload.argsz = size + 1;
		form_works(_metadata, self, &payload, size + 1);

		form_ready(_metadata, self, &payload);
		payload.argsz = size + 1;
		payload.bytes[size] = 1;
		form_fails(_metadata, self, E2BIG, &payload, size + 1, 0,
			   "byte past the grown end", size);
		for (argsz = 0; argsz < form->need; argsz++) {
			form_ready(_metadata, self, &payload);
			payload.argsz = argsz;
			form_fails(_metadata, self, EINVAL, &payload, size, 0,
				   "grown payload cut at", argsz);
		}
	}
	ASSERT_EQ(0, param_set(PARAM_MOCK("grow"), 0));
	form_still_works(_metadata, self);
}

/* Case 3: whatever is passed in addition, it is zero */
TEST_F(payload, newer_user)
{
	const struct form *form = self->form;
	union payload payload;
	size_t more;

	for (more = 1; form->size + more < self->page_size; more *= 3) {
		form_ready(_metadata, self, &payload);
		payload.argsz = form->size + more;
		form_works(_metadata, self, &payload, payload.argsz);
	}
	form_ready(_metadata, self, &payload);
	payload.argsz = self->page_size;
	form_works(_metadata, self, &payload, payload.argsz);
}

/* Case 3: it is not */
TEST_F(payload, newer_user_of_new_feature)
{
	const struct form *form = self->form;
	union payload payload;
	size_t i;

	for (i = form->size; i < form->size + 80; i++) {
		form_ready(_metadata, self, &payload);
		payload.argsz = form->size + 80;
		payload.bytes[i] = 0x80;
		form_fails(_metadata, self, E2BIG, &payload, payload.argsz, 0,
			   "garbage at", i);
	}
	form_ready(_metadata, self, &payload);
	payload.argsz = self->page_size;
	payload.bytes[self->page_size - 1] = 1;
	form_fails(_metadata, self, E2BIG, &payload, payload.argsz, 0,
		   "garbage at", self->page_size - 1);
	form_still_works(_metadata, self);
}

/* Case 3: more than a page is too much, whatever is in it */
TEST_F(payload, over_a_page)
{
	const __u32 sizes[] = {
		self->page_size + 1, 2 * self->page_size, INT_MAX,
		1U << 31, UINT_MAX - 7, UINT_MAX,
	};
	union payload payload;
	unsigned int i;
	size_t room;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		form_ready(_metadata, self, &payload);
		payload.argsz = sizes[i];
		room = self->form->wrapper == WRAPPER_BATCH ?
		       self->page_size : WRAPPER_ROOM;
		form_fails(_metadata, self, E2BIG, &payload, room, 0, "argsz",
			   sizes[i]);
	}
	form_still_works(_metadata, self);
}

/* Case 4: cut at each byte that the form needs */
TEST_F(payload, cut)
{
	const struct form *form = self->form;
	union payload payload;
	__u32 argsz;

	for (argsz = 0; argsz < form->need; argsz++) {
		form_ready(_metadata, self, &payload);
		payload.argsz = argsz;
		form_fails(_metadata, self, EINVAL, &payload, form->size, 0,
			   "cut at", argsz);
	}
	form_still_works(_metadata, self);
}

/* Case 4: argsz is more than the wrapper has room for */
TEST_F(payload, wrapper_too_small)
{
	const struct form *form = self->form;
	union payload payload;
	size_t room;

	/* A batch takes no entries that are too small for any request */
	room = form->wrapper == WRAPPER_BATCH ? INV(granu) : 0;
	/* write() of nothing is nothing */
	if (form->wrapper == WRAPPER_WRITE)
		room = 1;
	for (; room < form->size; room++) {
		form_ready(_metadata, self, &payload);
		form_fails(_metadata, self, EINVAL, &payload, room, 0,
			   "room for", room);
	}
	form_ready(_metadata, self, &payload);
	payload.argsz = form->size + 9;
	form_fails(_metadata, self, EINVAL, &payload, form->size + 8, 0,
		   "room for", form->size + 8);
	form_still_works(_metadata, self);
}

/* Case 4: what is there cannot be understood */
TEST_F(payload, version)
{
	static const __u32 versions[] = { 0, 2, 3, 1U << 31, UINT_MAX };
	union payload payload;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(versions); i++) {
		form_ready(_metadata, self, &payload);
		payload.version = versions[i];
		form_fails(_metadata, self, EINVAL, &payload, self->form->size,
			   0, "version", versions[i]);
	}
	form_still_works(_metadata, self);
}

TEST_F(payload, unknown_flags)
{
	const struct form *form = self->form;
	union payload payload;
	unsigned int i, bit;

	for (i = 0; i < ARRAY_SIZE(form->flags); i++) {
		__u64 known = form->flags[i].known;

		for (bit = 0; bit < form->flags[i].bits; bit++) {
			if (known & (1ULL << bit))
				continue;
			form_ready(_metadata, self, &payload);
			payload.bytes[form->flags[i].offset + bit / 8] |=
				1 << (bit % 8);
			form_fails(_metadata, self, EINVAL, &payload,
				   form->size, 0, "flag", bit);
		}
	}
	form_still_works(_metadata, self);
}

TEST_F(payload, must_be_zero)
{
	const struct form *form = self->form;
	union payload payload;
	unsigned int i;
	size_t at;

	for (i = 0; i < ARRAY_SIZE(form->zero); i++) {
		for (at = form->zero[i].start; at < form->zero[i].end; at++) {
			form_ready(_metadata, self, &payload);
			payload.bytes[at] = 0x10;
			form_fails(_metadata, self, EINVAL, &payload,
				   form->size, 0, "padding at", at);
		}
	}
	form_still_works(_metadata, self);
}

/* A pointer to nowhere, and memory that ends before the payload does */
TEST_F(payload, bad_pointer)
{
	const struct form *form = self->form;
	union payload payload;
	size_t there;
	__u8 head;

	for (there = 0; there < form->size; there++) {
		form_ready(_metadata, self, &payload);
		form_fails(_metadata, self, EFAULT, &payload, form->size,
			   form->size - there, "memory ends after", there);
	}
	/* A part that this kernel does not know must be there just as well */
	form_ready(_metadata, self, &payload);
	payload.argsz = form->size + 64;
	form_fails(_metadata, self, EFAULT, &payload, form->size + 64, 1,
		   "memory ends after", form->size + 63);

	if (form->wrapper == WRAPPER_WRITE) {
		EXPECT_ERRNO(EFAULT, write(self->fault, NULL, form->size));
	} else if (form->wrapper == WRAPPER_IOCTL) {
		EXPECT_ERRNO(EFAULT, nesting_ioctl(self->scope, form->op, NULL));
		for (head = 0; head < sizeof(struct wrapper); head++)
			EXPECT_ERRNO(EFAULT,
				     nesting_ioctl(self->scope, form->op,
						   self->edge - head));
	}
	form_still_works(_metadata, self);
}

static bool form_has_result(const struct form *form)
{
	return form->wrapper == WRAPPER_IOCTL &&
	       (form->op == OP_PASID_ALLOC || form->op == OP_INVALIDATE_BATCH);
}

/* Memory that cannot be written is no excuse for keeping a PASID */
TEST_F(payload, read_only)
{
	const struct form *form = self->form;
	struct wrapper *wrapper = (struct wrapper *)self->arena;
	struct mock_stats before, after;
	union payload payload;
	int ret, err;

	form_ready(_metadata, self, &payload);
	memcpy(wrapper->data, &payload, form->size);
	wrapper->argsz = sizeof(*wrapper) + form->size;
	wrapper->flags = nesting_flags(self->scope, form->op);
	before = mock_stats(self->vmm.dev[0]);
	ASSERT_EQ(0, mprotect(self->arena, self->page_size, PROT_READ));
	if (form->wrapper == WRAPPER_WRITE)
		ret = write(self->fault, wrapper->data, form->size) < 0 ? -1 : 0;
	else if (form->wrapper == WRAPPER_BATCH)
		ret = _test_cmd_inv_batch(self->scope, wrapper->data,
					  form->size, 1, &self->done);
	else
		ret = nesting_ioctl(self->scope, form->op, wrapper);
	err = errno;
	if (form_has_result(form)) {
		/* It could not tell what it did, so it does nothing */
		EXPECT_EQ(-1, ret);
		EXPECT_EQ(EFAULT, err);
		after = mock_stats(self->vmm.dev[0]);
		EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	} else {
		ASSERT_EQ(0, ret);
		form_succeeded(_metadata, self, &payload);
	}
	ASSERT_EQ(0, mprotect(self->arena, self->page_size,
			      PROT_READ | PROT_WRITE));
	form_still_works(_metadata, self);
}

static void check_device_wrapper(struct __test_metadata *_metadata,
				 payload_test *self,
				 struct wrapper *wrapper)
{
	enum nesting_op op = self->form->op;
	__u32 feature = nesting_ops[op].feature;

	/* Features are set, never got, and both at once is neither */
	wrapper->flags = VFIO_DEVICE_FEATURE_GET | feature;
	EXPECT_ERRNO(EINVAL, nesting_ioctl(self->scope, op, wrapper));
	wrapper->flags |= VFIO_DEVICE_FEATURE_SET;
	EXPECT_ERRNO(EINVAL, nesting_ioctl(self->scope, op, wrapper));
	wrapper->flags = feature;
	EXPECT_ERRNO(EINVAL, nesting_ioctl(self->scope, op, wrapper));
	wrapper->flags = VFIO_DEVICE_FEATURE_SET | 1 << 24 | feature;
	EXPECT_ERRNO(EINVAL, nesting_ioctl(self->scope, op, wrapper));
	wrapper->flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PROBE |
			 feature;
	EXPECT_EQ(0, nesting_ioctl(self->scope, op, wrapper));
}

static void check_container_wrapper(struct __test_metadata *_metadata,
				    payload_test *self,
				    struct wrapper *wrapper)
{
	enum nesting_op op = self->form->op;
	unsigned int bit;

	/* No operation, two at once, one that does not exist */
	wrapper->flags = 0;
	EXPECT_ERRNO(EINVAL, nesting_ioctl(self->scope, op, wrapper));
	wrapper->flags = UINT_MAX;
	EXPECT_ERRNO(EINVAL, nesting_ioctl(self->scope, op, wrapper));
	for (bit = 0; bit < 32; bit++) {
		if (nesting_ops[op].flag == 1U << bit)
			continue;
		wrapper->flags = nesting_ops[op].flag | 1U << bit;
		EXPECT_ERRNO(EINVAL, nesting_ioctl(self->scope, op, wrapper));
		if (bit < 4)
			continue;
		wrapper->flags = 1U << bit;
		EXPECT_ERRNO(EINVAL, nesting_ioctl(self->scope, op, wrapper));
	}
}

/* A response is in one piece, and its file is no place with offsets */
static void check_write(struct __test_metadata *_metadata,
			payload_test *self, union payload *payload)
{
	struct iovec halves[] = {
		{ payload->bytes, self->form->size / 2 },
		{ payload->bytes + self->form->size / 2, self->form->size / 2 },
	};

	EXPECT_ERRNO(EINVAL, writev(self->fault, halves, 2));
	EXPECT_ERRNO(ESPIPE, pwrite(self->fault, payload, self->form->size, 0));
	EXPECT_ERRNO(ESPIPE, lseek(self->fault, 0, SEEK_SET));
	EXPECT_EQ(-1, ioctl(self->fault, VFIO_IOMMU_BIND, payload));
}

/* The wrapper has an argsz and flags of its own */
TEST_F(payload, wrapper)
{
	const struct form *form = self->form;
	struct wrapper *wrapper = (struct wrapper *)self->arena;
	struct mock_stats before, after;
	union payload payload;
	__u32 argsz;

	form_ready(_metadata, self, &payload);
	if (form->wrapper == WRAPPER_WRITE) {
		check_write(_metadata, self, &payload);
		form_still_works(_metadata, self);
		return;
	}
	if (form->wrapper == WRAPPER_BATCH) {
		/* That is a payload itself, with a form in the table */
		memset(payload.bytes + form->size, 0xff, 64);
		form_works(_metadata, self, &payload, form->size + 64);
		return;
	}

	memcpy(wrapper->data, &payload, form->size);
	before = mock_stats(self->vmm.dev[0]);
	wrapper->flags = nesting_flags(self->scope, form->op);
	for (argsz = 0; argsz < sizeof(*wrapper) + form->need; argsz++) {
		wrapper->argsz = argsz;
		EXPECT_ERRNO(EINVAL, nesting_ioctl(self->scope, form->op,
						   wrapper));
	}
	wrapper->argsz = sizeof(*wrapper) + form->size;
	if (self->scope.device)
		check_device_wrapper(_metadata, self, wrapper);
	else
		check_container_wrapper(_metadata, self, wrapper);
	after = mock_stats(self->vmm.dev[0]);
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));

	/* It may have more room than its payload uses */
	wrapper->argsz = sizeof(*wrapper) + 2 * form->size;
	wrapper->flags = nesting_flags(self->scope, form->op);
	memset(wrapper->data + form->size, 0xff, form->size);
	ASSERT_DONE(nesting_ioctl(self->scope, form->op, wrapper));
	memcpy(&payload, wrapper->data, form->size);
	form_succeeded(_metadata, self, &payload);
}

/*
 * A second thread rewrites sizes and flags during the calls. The kernel sees
 * some mixture; what it may say of it is no more than of a bad payload.
 */
struct rewriter {
	pthread_t thread;
	volatile bool stop;
	volatile __u32 *argsz;
	volatile __u32 *flags;
	volatile __u32 *wrapper_argsz;
	__u32 size;
	__u32 need;
	__u32 page_size;
};

static void *rewriter_fn(void *arg)
{
	struct rewriter *rw = arg;
	const __u32 sizes[] = {
		rw->size, rw->page_size, 0, rw->size, UINT_MAX, rw->need - 1,
		rw->size, rw->page_size + 1, rw->need,
	};
	__u32 valid = rw->flags ? *rw->flags : 0;
	unsigned int i;

	for (i = 0; !rw->stop; i++) {
		*rw->argsz = sizes[i % ARRAY_SIZE(sizes)];
		if (rw->flags)
			*rw->flags = i & 4 ? valid | 1U << 31 : valid;
		if (rw->wrapper_argsz && !(i & 3))
			*rw->wrapper_argsz = i & 8 ?
				sizeof(struct wrapper) + rw->size :
				sizeof(struct wrapper) + rw->page_size;
	}
	*rw->argsz = rw->size;
	if (rw->flags)
		*rw->flags = valid;
	return NULL;
}

static int rewritten_call(payload_test *self, struct wrapper *wrapper)
{
	const struct form *form = self->form;
	ssize_t size;

	switch (form->wrapper) {
	case WRAPPER_WRITE:
		size = write(self->fault, wrapper->data, form->size);
		if (size < 0)
			return -1;
		/* More than was there has not been taken */
		return size == form->size ? 0 : size;
	case WRAPPER_BATCH:
		return _test_cmd_inv_batch(self->scope, wrapper->data,
					   self->page_size, 1, &self->done);
	default:
		return nesting_ioctl(self->scope, form->op, wrapper);
	}
}

TEST_F(payload, rewritten_by_other_thread)
{
	const struct form *form = self->form;
	struct wrapper *wrapper = (struct wrapper *)self->arena;
	union payload *payload = (union payload *)wrapper->data;
	union payload valid;
	struct rewriter rw = {
		.argsz = &payload->argsz,
		.size = form->size,
		.need = form->need,
		.page_size = self->page_size,
	};
	unsigned int i, good = 0, bad = 0;
	__u64 begin;
	int ret, err;

	if (form->wrapper == WRAPPER_IOCTL)
		rw.wrapper_argsz = &wrapper->argsz;
	if (form->flags[0].bits >= 32)
		rw.flags = (__u32 *)(wrapper->data + form->flags[0].offset);

	form_ready(_metadata, self, &valid);
	memcpy(payload, &valid, self->page_size);
	wrapper->argsz = sizeof(*wrapper) + form->size;
	ASSERT_EQ(0, pthread_create(&rw.thread, NULL, rewriter_fn, &rw));
	/*
	 * Until both threads have had their turns, but not for ever. On a single
	 * CPU the sizes change only when the scheduler has the other one run.
	 */
	begin = now_ms();
	for (i = 0; i < 100 || ((good < 50 || bad < 50) &&
				now_ms() - begin < (good && bad ? 500 : WAIT_MS));
	     i++) {
		form_ready(_metadata, self, &valid);
		wrapper->flags = nesting_flags(self->scope, form->op);
		/* What follows argsz and version, but not the flags */
		memset(payload->bytes + form->size, i & 1, 64);
		/* Where the last result is there must be zero again */
		if (form_has_result(form) && form->op == OP_PASID_ALLOC)
			payload->pasid.pasid = 0;
		else if (form_has_result(form))
			payload->batch.done = 0;

		ret = rewritten_call(self, wrapper);
		err = errno;
		if (!ret) {
			good++;
			memcpy(&valid, payload, form->size);
			form_succeeded(_metadata, self, &valid);
		} else {
			bad++;
			EXPECT_EQ(-1, ret);
			EXPECT_TRUE(err == EINVAL || err == E2BIG ||
				    err == EFAULT) {
				TH_LOG("%s: %s", form->name, strerror(err));
			}
		}
	}
	rw.stop = true;
	ASSERT_EQ(0, pthread_join(rw.thread, NULL));
	TH_LOG("%s: %u valid, %u refused", form->name, good, bad);
	EXPECT_NE(0, good);
	EXPECT_NE(0, bad);
	form_still_works(_metadata, self);
}

/* ---------------------------------------------------------------------
 * The query goes the other way: the kernel fills in what there is room for
 */
#define query_test	FIXTURE_DATA(query)

FIXTURE(query)
{
	struct vmm vmm;
	size_t page_size;
	__u8 *arena;
	__u8 *edge;
};

FIXTURE_SETUP(query)
{
	if (!mock_present())
		SKIP(return, "no mock hardware");
	self->page_size = sysconf(_SC_PAGE_SIZE);
	self->arena = mmap(NULL, 4 * self->page_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(self->arena != MAP_FAILED);
	self->edge = self->arena + 3 * self->page_size;
	ASSERT_EQ(0, mprotect(self->edge, self->page_size, PROT_NONE));
	ASSERT_EQ(0, param_set(PARAM_MOCK("lack"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("grow"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("style"), MOCK_STYLE_PGTBL));
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_EQ(0, vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 1));
}

FIXTURE_TEARDOWN(query)
{
	vmm_close(&self->vmm);
	params_restore();
}

/* Ask with @argsz in a wrapper with @room, at the end of the memory */
static int query_call(query_test *self, __u32 argsz, size_t room,
		      size_t hidden, __u8 *answer)
{
	__u8 *at = self->edge - (room - hidden);
	struct wrapper head = {
		.argsz = sizeof(head) + room,
		.flags = VFIO_DEVICE_FEATURE_GET |
			 VFIO_DEVICE_FEATURE_NESTING_INFO,
	};
	int ret;

	memset(at, 0xaa, room - hidden);
	memcpy(at, &argsz, room - hidden < sizeof(argsz) ? room - hidden :
							   sizeof(argsz));
	memcpy(at - sizeof(head), &head, sizeof(head));
	ret = ioctl(self->vmm.dev[0], VFIO_DEVICE_FEATURE, at - sizeof(head));
	memcpy(answer, at, room - hidden);
	return ret;
}

#define INFO_MIN	offsetof(struct iommu_nesting_info, vendor)

TEST_F(query, sizes)
{
	struct iommu_nesting_info full;
	__u8 answer[WRAPPER_ROOM] = {};
	__u32 argsz;
	size_t i;

	/* Exact */
	ASSERT_EQ(0, query_call(self, sizeof(full), sizeof(full), 0, answer));
	memcpy(&full, answer, sizeof(full));
	ASSERT_EQ(sizeof(full), full.argsz);
	ASSERT_EQ(IOMMU_PASID_FORMAT_INTEL_VTD, full.format);

	/* Older user: the beginning of the same */
	for (argsz = INFO_MIN; argsz < sizeof(full); argsz++) {
		ASSERT_EQ(0, query_call(self, argsz, argsz, 0, answer)) {
			TH_LOG("argsz %u: %s", argsz, strerror(errno));
		}
		EXPECT_EQ(0, memcmp(&full, answer, argsz));
	}
	/* Nothing is written past argsz, even if the wrapper has room */
	ASSERT_EQ(0, query_call(self, INFO_MIN, sizeof(full), 0, answer));
	EXPECT_EQ(0, memcmp(&full, answer, INFO_MIN));
	for (i = INFO_MIN; i < sizeof(full); i++)
		ASSERT_EQ(0xaa, answer[i]);

	/* Newer user: the same, then zeroes */
	for (argsz = sizeof(full) + 1; argsz <= self->page_size; argsz += 413) {
		ASSERT_EQ(0, query_call(self, argsz, argsz, 0, answer));
		EXPECT_EQ(0, memcmp(&full, answer, sizeof(full)));
		for (i = sizeof(full); i < argsz; i++)
			ASSERT_EQ(0, answer[i]);
	}
	ASSERT_EQ(0, query_call(self, self->page_size, self->page_size, 0,
				answer));

	EXPECT_ERRNO(E2BIG, query_call(self, self->page_size + 1, WRAPPER_ROOM,
				       0, answer));
	EXPECT_ERRNO(E2BIG, query_call(self, UINT_MAX, WRAPPER_ROOM, 0,
				       answer));

	/* Misbehaving */
	for (argsz = 0; argsz < INFO_MIN; argsz++)
		EXPECT_ERRNO(EINVAL, query_call(self, argsz, sizeof(full), 0,
						answer));
	for (i = 0; i < sizeof(full); i++)
		EXPECT_ERRNO(EINVAL, query_call(self, sizeof(full), i, 0,
						answer));
	for (i = 1; i <= sizeof(full); i++)
		EXPECT_ERRNO(EFAULT, query_call(self, sizeof(full),
						sizeof(full), i, answer));
	EXPECT_ERRNO(EFAULT, query_call(self, self->page_size, self->page_size,
					1, answer));
}

TEST_F(query, flags)
{
	struct wrapper *wrapper = (struct wrapper *)self->arena;
	__u32 *argsz = (__u32 *)wrapper->data;

	*argsz = sizeof(struct iommu_nesting_info);
	wrapper->argsz = sizeof(*wrapper) + *argsz;
	wrapper->flags = VFIO_DEVICE_FEATURE_SET |
			 VFIO_DEVICE_FEATURE_NESTING_INFO;
	EXPECT_ERRNO(EINVAL, ioctl(self->vmm.dev[0], VFIO_DEVICE_FEATURE,
				   wrapper));
	wrapper->flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_PROBE |
			 VFIO_DEVICE_FEATURE_NESTING_INFO;
	EXPECT_EQ(0, ioctl(self->vmm.dev[0], VFIO_DEVICE_FEATURE, wrapper));
	EXPECT_EQ(sizeof(struct iommu_nesting_info), *argsz);
}

/* The fault file descriptor is asked for by a wrapper, too */
TEST_F(query, fault_fd)
{
	const size_t size = sizeof(struct vfio_device_feature_nesting_fault);
	struct vfio_device_feature_nesting_fault ask = {};
	struct wrapper head = {
		.flags = VFIO_DEVICE_FEATURE_GET |
			 VFIO_DEVICE_FEATURE_NESTING_FAULT,
	};
	__u8 *at = self->edge - sizeof(head) - size;
	size_t room;
	int fd;

	for (room = 0; room < size; room++) {
		head.argsz = sizeof(head) + room;
		memcpy(at, &head, sizeof(head));
		memcpy(at + sizeof(head), &ask, size);
		EXPECT_ERRNO(EINVAL, ioctl(self->vmm.dev[0],
					   VFIO_DEVICE_FEATURE, at));
	}
	head.argsz = sizeof(head) + size;
	ask.flags = 1;
	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), &ask, size);
	EXPECT_ERRNO(EINVAL, ioctl(self->vmm.dev[0], VFIO_DEVICE_FEATURE, at));

	/* Where the number cannot be written there is no descriptor */
	ask.flags = 0;
	memcpy(self->arena, &head, sizeof(head));
	memcpy(self->arena + sizeof(head), &ask, size);
	ASSERT_EQ(0, mprotect(self->arena, self->page_size, PROT_READ));
	EXPECT_ERRNO(EFAULT, ioctl(self->vmm.dev[0], VFIO_DEVICE_FEATURE,
				   self->arena));
	ASSERT_EQ(0, mprotect(self->arena, self->page_size,
			      PROT_READ | PROT_WRITE));

	memcpy(at + sizeof(head), &ask, size);
	ASSERT_EQ(0, ioctl(self->vmm.dev[0], VFIO_DEVICE_FEATURE, at));
	memcpy(&ask, at + sizeof(head), size);
	fd = ask.fd;
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_ERRNO(EBUSY, fault_open(self->vmm.dev[0]));
	close(fd);
	fd = fault_open(self->vmm.dev[0]);
	ASSERT_LE(0, fd);
	close(fd);
}

TEST_HARNESS_MAIN
