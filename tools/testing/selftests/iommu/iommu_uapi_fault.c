// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU user API: page requests, their answers, unrecoverable faults
 */
#include <signal.h>

#include "../kselftest_harness.h"
#include "iommu_uapi_utils.h"

#define VA_A		0x7f1234567000ULL
#define VA_B		0x00c0ffeed000ULL

#define PERM_R		IOMMU_FAULT_PERM_READ
#define PERM_W		IOMMU_FAULT_PERM_WRITE

/* Records that a queue holds, and groups that can wait for an answer */
#define QUEUE_RECORDS	256
#define QUEUE_GROUPS	512

#define DEV(n)		(self->vmm.dev[n])

#define SUCCESS		IOMMU_PAGE_RESP_SUCCESS
#define INVALID		IOMMU_PAGE_RESP_INVALID
#define FAILURE		IOMMU_PAGE_RESP_FAILURE

/* What a record and a response need if a number is the guest's */
#define PRQ_GPASID	IOMMU_FAULT_PAGE_REQUEST_GPASID
#define RESP_GPASID	IOMMU_PAGE_RESP_GPASID
#define LAST		IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE

#define fault_test	FIXTURE_DATA(fault)

FIXTURE(fault)
{
	struct vmm vmm;
	struct scope scope;
	struct guest_pt pt;
	__u64 page;
	/* On the bus */
	__u32 pasid;
	/* In fault records, with the flags that go with it */
	__u32 name;
	__u32 prq_flags;
	__u32 event_flags;
	__u32 resp_flags;
	int fault;
};

FIXTURE_VARIANT(fault)
{
	bool gpasid;
};

FIXTURE_VARIANT_ADD(fault, host_numbers)
{
};

FIXTURE_VARIANT_ADD(fault, guest_numbers)
{
	.gpasid = true,
};

FIXTURE_SETUP(fault)
{
	if (!mock_present())
		SKIP(return, "no mock hardware");
	ASSERT_EQ(0, param_set(PARAM_MOCK("lack"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("grow"), 0));
	ASSERT_EQ(0, param_set(PARAM_MOCK("style"), MOCK_STYLE_PGTBL));
	ASSERT_EQ(0, vmm_init(&self->vmm));
	ASSERT_DONE(vmm_open(&self->vmm, VFIO_TYPE1_NESTING_IOMMU, 0x3));
	self->scope = device_scope(&self->vmm, 0);
	guest_pt_init(&self->pt, &self->vmm, GUEST_PT_VTD, 4);
	self->page = guest_page(&self->vmm);
	test_cmd_pasid_alloc(self->vmm.container, 100, 1000, &self->pasid);
	self->name = self->pasid;
	if (variant->gpasid) {
		self->name = 0x4711;
		self->prq_flags = PRQ_GPASID;
		self->event_flags = IOMMU_FAULT_UNRECOV_GPASID;
		self->resp_flags = RESP_GPASID;
		test_cmd_bind_gpasid(self->scope, &self->pt, self->pasid,
				     self->name);
	} else {
		test_cmd_bind(self->scope, &self->pt, self->pasid);
	}
	self->fault = fault_open(DEV(0));
	ASSERT_LE(0, self->fault);
}

FIXTURE_TEARDOWN(fault)
{
	close_fd(&self->fault);
	vmm_close(&self->vmm);
	params_restore();
}

/* A group of one page at @va, and its record */
#define ask(grpid, va)							\
	test_cmd_page_request(DEV(0), 0, self->pasid, grpid, va, 1, PERM_R)
#define told(grpid, va)							\
	test_fault_page_request(self->fault, self->prq_flags | LAST,	\
				self->name, grpid, va, PERM_R)
#define respond(grpid, code)						\
	test_cmd_respond(self->fault, self->resp_flags, self->name,	\
			 grpid, code)
#define not_respond(_errno, grpid, code)				\
	test_err_respond(_errno, self->fault, self->resp_flags,		\
			 self->name, grpid, code)

TEST_F(fault, one_page)
{
	__u32 code;

	test_fault_none(self->fault);
	for (code = SUCCESS; code <= FAILURE; code++) {
		ask(9, VA_A);
		told(9, VA_A);
		test_fault_none(self->fault);
		test_device_gets_nothing(DEV(0));
		respond(9, code);
		test_device_gets(code, DEV(0), self->pasid, 9);
		test_device_gets_nothing(DEV(0));
	}
}

TEST_F(fault, permissions)
{
	__u32 perm;

	for (perm = 1; perm < 16; perm++) {
		test_cmd_page_request(DEV(0), 0, self->pasid, perm, VA_A, 1,
				      perm);
		test_fault_page_request(self->fault, self->prq_flags | LAST,
					self->name, perm, VA_A, perm);
	}
}

/* Read the @nr pages from @va of a group; the last record is the last page's */
static void read_group(struct __test_metadata *_metadata,
		       fault_test *self, __u32 grpid, __u64 va,
		       unsigned int nr)
{
	struct iommu_fault record;
	bool seen[64] = {};
	unsigned int i, page;

	for (i = 0; i < nr; i++) {
		test_cmd_fault_read(self->fault, &record);
		ASSERT_EQ(IOMMU_FAULT_PAGE_REQ, record.type);
		EXPECT_EQ(grpid, record.prm.grpid);
		EXPECT_EQ(self->name, record.prm.pasid);
		EXPECT_EQ(self->prq_flags |
			  IOMMU_FAULT_PAGE_REQUEST_PASID_VALID |
			  (i == nr - 1 ? LAST : 0), record.prm.flags);
		page = (record.prm.addr - va) / SZ_4K;
		ASSERT_LT(page, nr);
		EXPECT_FALSE(seen[page]);
		seen[page] = true;
		if (i == nr - 1)
			EXPECT_EQ(nr - 1, page);
	}
}

TEST_F(fault, group)
{
	test_cmd_page_request(DEV(0), 0, self->pasid, 30, VA_A, 5, PERM_R);
	read_group(_metadata, self, 30, VA_A, 5);
	test_fault_none(self->fault);
	respond(30, SUCCESS);
	/* One answer for them all */
	test_device_gets(SUCCESS, DEV(0), self->pasid, 30);
	test_device_gets_nothing(DEV(0));
	not_respond(ENOENT, 30, SUCCESS);
}

TEST_F(fault, partial_then_last)
{
	/* Nothing can be answered before the device has said all of it */
	test_cmd_page_request(DEV(0), MOCK_PRQ_PARTIAL, self->pasid, 31, VA_A, 2,
			      PERM_R);
	sleep_ms(50);
	test_fault_none(self->fault);
	not_respond(ENOENT, 31, SUCCESS);
	/* Another group meanwhile */
	ask(32, VA_B);
	told(32, VA_B);
	test_cmd_page_request(DEV(0), 0, self->pasid, 31, VA_A + 2 * SZ_4K, 1,
			      PERM_R);
	read_group(_metadata, self, 31, VA_A, 3);
	respond(31, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 31);
	respond(32, INVALID);
	test_device_gets(INVALID, DEV(0), self->pasid, 32);
}

/* What waits for the end of its group is not more than the kernel likes */
#define KEPT_GROUPS	32
#define KEPT_EACH	32

TEST_F(fault, partial_bounded)
{
	__u32 grpid;

	for (grpid = 100; grpid < 100 + KEPT_GROUPS; grpid++)
		test_cmd_page_request(DEV(0), MOCK_PRQ_PARTIAL, self->pasid,
				      grpid, VA_A, KEPT_EACH, PERM_R);
	/* Dropped: the device asks for it again when the rest is answered */
	test_cmd_page_request(DEV(0), MOCK_PRQ_PARTIAL, self->pasid, 31,
			      VA_B - SZ_4K, 1, PERM_R);
	ask(31, VA_B);
	told(31, VA_B);
	test_fault_none(self->fault);
	respond(31, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 31);

	/* The end of one makes room */
	test_cmd_page_request(DEV(0), 0, self->pasid, 100,
			      VA_A + KEPT_EACH * SZ_4K, 1, PERM_R);
	read_group(_metadata, self, 100, VA_A, KEPT_EACH + 1);
	test_cmd_page_request(DEV(0), MOCK_PRQ_PARTIAL, self->pasid, 32, VA_A,
			      KEPT_EACH, PERM_R);
	test_cmd_page_request(DEV(0), 0, self->pasid, 32,
			      VA_A + KEPT_EACH * SZ_4K, 1, PERM_R);
	read_group(_metadata, self, 32, VA_A, KEPT_EACH + 1);
	test_fault_none(self->fault);
	respond(100, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 100);
	respond(32, INVALID);
	test_device_gets(INVALID, DEV(0), self->pasid, 32);
}

/* What waits for the end of its group does not come to the next binding */
TEST_F(fault, partial_forgotten)
{
	/* Page requests stay on */
	test_cmd_bind(self->scope, &self->pt, NO_PASID);
	test_cmd_page_request(DEV(0), MOCK_PRQ_PARTIAL, self->pasid, 31, VA_A, 2,
			      PERM_R);
	test_cmd_page_request(DEV(0), MOCK_PRQ_PARTIAL, NO_PASID, 32, VA_A, 1,
			      PERM_R);
	test_cmd_unbind(self->scope, self->pasid);
	test_cmd_bind(self->scope, &self->pt, self->pasid);

	ask(31, VA_B);
	test_fault_page_request(self->fault, LAST, self->pasid, 31, VA_B, PERM_R);
	test_fault_none(self->fault);
	test_cmd_respond(self->fault, 0, self->pasid, 31, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 31);

	/* The other binding has kept what it had */
	test_cmd_page_request(DEV(0), 0, NO_PASID, 32, VA_B, 1, PERM_R);
	test_fault_page_request(self->fault, 0, NO_PASID, 32, VA_A, PERM_R);
	test_fault_page_request(self->fault, LAST, NO_PASID, 32, VA_B, PERM_R);
	test_cmd_respond(self->fault, 0, NO_PASID, 32, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), NO_PASID, 32);

	/* And so the other way round */
	test_cmd_page_request(DEV(0), MOCK_PRQ_PARTIAL, self->pasid, 31, VA_A, 1,
			      PERM_R);
	test_cmd_page_request(DEV(0), MOCK_PRQ_PARTIAL, NO_PASID, 32, VA_A, 1,
			      PERM_R);
	test_cmd_unbind(self->scope, NO_PASID);
	test_cmd_bind(self->scope, &self->pt, NO_PASID);
	test_cmd_page_request(DEV(0), 0, NO_PASID, 32, VA_B, 1, PERM_R);
	test_fault_page_request(self->fault, LAST, NO_PASID, 32, VA_B, PERM_R);
	ask(31, VA_B);
	test_fault_page_request(self->fault, 0, self->pasid, 31, VA_A, PERM_R);
	test_fault_page_request(self->fault, LAST, self->pasid, 31, VA_B, PERM_R);
	test_fault_none(self->fault);
}

TEST_F(fault, without_pasid)
{
	test_cmd_bind(self->scope, &self->pt, NO_PASID);
	/* The same group index, told apart by the PASID alone */
	test_cmd_page_request(DEV(0), 0, NO_PASID, 9, VA_A, 1, PERM_W);
	ask(9, VA_B);
	test_fault_page_request(self->fault, LAST, NO_PASID, 9, VA_A, PERM_W);
	told(9, VA_B);
	respond(9, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 9);
	not_respond(ENOENT, 9, SUCCESS);
	test_cmd_respond(self->fault, 0, NO_PASID, 9, INVALID);
	test_device_gets(INVALID, DEV(0), NO_PASID, 9);
	test_err_respond(ENOENT, self->fault, 0, NO_PASID, 9, INVALID);
}

TEST_F(fault, out_of_order)
{
	static const int order[] = { 3, 0, 4, 1, 2 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(order); i++)
		ask(i, VA_A + i * SZ_4K);
	for (i = 0; i < ARRAY_SIZE(order); i++)
		told(i, VA_A + i * SZ_4K);
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		respond(order[i], i % 3);
		test_device_gets(i % 3, DEV(0), self->pasid, order[i]);
	}
	test_device_gets_nothing(DEV(0));
}

/* A device may use an index again that it has not got an answer for */
TEST_F(fault, same_index_again)
{
	ask(9, VA_A);
	ask(9, VA_B);
	told(9, VA_A);
	told(9, VA_B);
	respond(9, SUCCESS);
	respond(9, FAILURE);
	not_respond(ENOENT, 9, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 9);
	test_device_gets(FAILURE, DEV(0), self->pasid, 9);
}

TEST_F(fault, not_pending)
{
	struct iommu_page_response resp;
	__u32 code;

	not_respond(ENOENT, 9, SUCCESS);
	ask(9, VA_A);
	told(9, VA_A);
	/* Another index, another PASID, none */
	not_respond(ENOENT, 10, SUCCESS);
	not_respond(ENOENT, 9 | 1 << 9, SUCCESS);
	test_err_respond(ENOENT, self->fault, self->resp_flags, self->name + 1,
			 9, SUCCESS);
	test_err_respond(ENOENT, self->fault, 0, NO_PASID, 9, SUCCESS);
	/* Nonsense */
	for (code = FAILURE + 1; code; code <<= 1)
		not_respond(EINVAL, 9, code);
	not_respond(EINVAL, 9, UINT_MAX);
	test_err_respond(EINVAL, self->fault, RESP_GPASID, NO_PASID, 9, SUCCESS);
	resp = page_response(0, NO_PASID, 9, SUCCESS);
	resp.pasid = self->name;
	EXPECT_ERRNO(EINVAL, write(self->fault, &resp, sizeof(resp)));
	test_device_gets_nothing(DEV(0));
	/* It is still waiting */
	respond(9, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 9);
	/* Twice */
	not_respond(ENOENT, 9, SUCCESS);
	test_device_gets_nothing(DEV(0));
}

TEST_F(fault, before_it_is_read)
{
	struct iommu_fault record;

	ask(9, VA_A);
	not_respond(ENOENT, 9, SUCCESS);
	/* A group has been read when its last page has */
	test_cmd_page_request(DEV(0), 0, self->pasid, 10, VA_B, 2, PERM_R);
	told(9, VA_A);
	test_cmd_fault_read(self->fault, &record);
	not_respond(ENOENT, 10, SUCCESS);
	respond(9, SUCCESS);
	test_cmd_fault_read(self->fault, &record);
	respond(10, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 9);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 10);
}

/* A bare number is the host's; the flag, and nothing else, makes it the guest's */
TEST_F(fault, both_numbers)
{
	ask(9, VA_A);
	told(9, VA_A);
	if (variant->gpasid) {
		test_err_respond(ENOENT, self->fault, 0, self->name, 9,
				 SUCCESS);
		test_err_respond(ENOENT, self->fault, RESP_GPASID, self->pasid,
				 9, SUCCESS);
		test_cmd_respond(self->fault, 0, self->pasid, 9, SUCCESS);
		test_device_gets(SUCCESS, DEV(0), self->pasid, 9);
		ask(9, VA_A);
		told(9, VA_A);
		test_cmd_respond(self->fault, RESP_GPASID, self->name, 9,
				 SUCCESS);
	} else {
		/* There is no guest's number */
		test_err_respond(ENOENT, self->fault, RESP_GPASID, self->pasid,
				 9, SUCCESS);
		test_cmd_respond(self->fault, 0, self->pasid, 9, SUCCESS);
	}
	test_device_gets(SUCCESS, DEV(0), self->pasid, 9);
}

/* Two bindings that have each other's number */
TEST_F(fault, crossed_numbers)
{
	__u32 other;

	test_cmd_unbind(self->scope, self->pasid);
	test_cmd_pasid_alloc(self->vmm.container, 100, 1000, &other);
	test_cmd_bind_gpasid(self->scope, &self->pt, self->pasid, other);
	test_cmd_bind_gpasid(self->scope, &self->pt, other, self->pasid);

	test_cmd_page_request(DEV(0), 0, self->pasid, 1, VA_A, 1, PERM_R);
	test_cmd_page_request(DEV(0), 0, other, 1, VA_B, 1, PERM_R);
	test_fault_page_request(self->fault, PRQ_GPASID | LAST, other, 1, VA_A,
				PERM_R);
	test_fault_page_request(self->fault, PRQ_GPASID | LAST, self->pasid, 1,
				VA_B, PERM_R);
	test_cmd_respond(self->fault, 0, self->pasid, 1, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 1);
	test_err_respond(ENOENT, self->fault, 0, self->pasid, 1, SUCCESS);
	test_err_respond(ENOENT, self->fault, RESP_GPASID, other, 1, SUCCESS);
	test_cmd_respond(self->fault, RESP_GPASID, self->pasid, 1, INVALID);
	test_device_gets(INVALID, DEV(0), other, 1);
}

/* The guest never answers, and the binding ends */
TEST_F(fault, unbound_unanswered)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		ask(i, VA_A + i * SZ_4K);
	/* Two that it has seen, two that it never will */
	told(0, VA_A);
	told(1, VA_A + SZ_4K);
	test_cmd_unbind(self->scope, self->pasid);
	for (i = 0; i < 4; i++) {
		struct mock_page_response resp;

		ASSERT_DONE(_test_cmd_device_gets(DEV(0), &resp));
		EXPECT_EQ(INVALID, resp.code);
	}
	test_device_gets_nothing(DEV(0));
	test_fault_none(self->fault);
	not_respond(ENOENT, 0, SUCCESS);

	/* The next binding begins with nothing */
	if (variant->gpasid)
		test_cmd_bind_gpasid(self->scope, &self->pt, self->pasid,
				     self->name);
	else
		test_cmd_bind(self->scope, &self->pt, self->pasid);
	test_fault_none(self->fault);
	not_respond(ENOENT, 1, SUCCESS);
	ask(1, VA_B);
	told(1, VA_B);
	respond(1, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 1);
}

/* One ends, the other goes on, and keeps its place in the queue */
TEST_F(fault, one_of_two_unbound)
{
	test_cmd_bind(self->scope, &self->pt, NO_PASID);
	ask(1, VA_A);
	test_cmd_page_request(DEV(0), 0, NO_PASID, 2, VA_B, 1, PERM_R);
	ask(3, VA_A);
	sleep_ms(20);
	test_cmd_unbind(self->scope, self->pasid);
	test_device_gets(INVALID, DEV(0), self->pasid, 1);
	test_device_gets(INVALID, DEV(0), self->pasid, 3);
	test_fault_page_request(self->fault, LAST, NO_PASID, 2, VA_B, PERM_R);
	test_fault_none(self->fault);
	test_cmd_respond(self->fault, 0, NO_PASID, 2, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), NO_PASID, 2);
	/* Also for what the device asks from now on */
	test_cmd_page_request(DEV(0), 0, NO_PASID, 4, VA_B, 1, PERM_R);
	test_fault_page_request(self->fault, LAST, NO_PASID, 4, VA_B, PERM_R);
	test_cmd_respond(self->fault, 0, NO_PASID, 4, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), NO_PASID, 4);
}

TEST_F(fault, pasid_freed_unanswered)
{
	ask(1, VA_A);
	told(1, VA_A);
	test_cmd_pasid_free(self->vmm.container, self->pasid, self->pasid);
	test_device_gets(INVALID, DEV(0), self->pasid, 1);
	not_respond(ENOENT, 1, SUCCESS);
}

TEST_F(fault, closed_unanswered)
{
	ask(1, VA_A);
	ask(2, VA_B);
	test_cmd_page_request(DEV(0), MOCK_PRQ_PARTIAL, self->pasid, 3, VA_A, 1,
			      PERM_R);
	told(1, VA_A);
	close_fd(&self->fault);
	test_device_gets(INVALID, DEV(0), self->pasid, 1);
	test_device_gets(INVALID, DEV(0), self->pasid, 2);
	test_device_gets_nothing(DEV(0));

	/* Nobody listens */
	ask(4, VA_A);
	test_device_gets(INVALID, DEV(0), self->pasid, 4);

	/* Somebody new, who was not there before */
	self->fault = fault_open(DEV(0));
	ASSERT_LE(0, self->fault);
	test_fault_none(self->fault);
	not_respond(ENOENT, 1, SUCCESS);
	ask(5, VA_B);
	told(5, VA_B);
	respond(5, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 5);
}

/* Where nothing is bound there is nobody to ask */
TEST_F(fault, nothing_bound)
{
	test_cmd_page_request(DEV(0), 0, self->pasid + 1, 1, VA_A, 1, PERM_R);
	test_device_gets(INVALID, DEV(0), self->pasid + 1, 1);
	test_cmd_page_request(DEV(0), 0, NO_PASID, 1, VA_A, 1, PERM_R);
	test_device_gets(INVALID, DEV(0), NO_PASID, 1);
	test_fault_none(self->fault);
}

/* Each device has its own */
TEST_F(fault, two_devices)
{
	struct scope dev1 = device_scope(&self->vmm, 1);
	int fault1 = fault_open(DEV(1));

	ASSERT_LE(0, fault1);
	test_cmd_bind(dev1, &self->pt, self->pasid);
	test_cmd_page_request(DEV(1), 0, self->pasid, 1, VA_A, 1, PERM_R);
	test_fault_page_request(fault1, LAST, self->pasid, 1, VA_A, PERM_R);
	test_fault_none(self->fault);
	test_err_respond(ENOENT, self->fault, 0, self->pasid, 1, SUCCESS);
	ask(1, VA_B);
	told(1, VA_B);
	test_cmd_respond(fault1, 0, self->pasid, 1, FAILURE);
	test_device_gets(FAILURE, DEV(1), self->pasid, 1);
	test_device_gets_nothing(DEV(0));
	respond(1, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 1);
	close(fault1);
}

/* ---------------------------------------------------------------------
 * read() and write()
 */
TEST_F(fault, read_sizes)
{
	struct iommu_fault records[8];
	__u8 *bytes = (__u8 *)records;
	ssize_t size;
	unsigned int i;

	set_nonblock(self->fault, true);
	EXPECT_ERRNO(EAGAIN, read(self->fault, records, sizeof(records)));
	for (i = 0; i < 7; i++)
		ask(i, VA_A + i * SZ_4K);
	ASSERT_EQ(POLLIN, fd_wait(self->fault, POLLIN, WAIT_MS));
	sleep_ms(50);

	for (size = 0; size < sizeof(*records); size++)
		EXPECT_ERRNO(EINVAL, read(self->fault, records, size));
	/* Whole records, as many as fit */
	memset(records, 0xaa, sizeof(records));
	ASSERT_EQ(sizeof(*records), read(self->fault, records,
					 2 * sizeof(*records) - 1));
	EXPECT_EQ(0, records[0].prm.grpid);
	for (i = sizeof(*records); i < sizeof(records); i++)
		ASSERT_EQ(0xaa, bytes[i]);
	ASSERT_EQ(3 * sizeof(*records), read(self->fault, records,
					     3 * sizeof(*records) + 9));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(1 + i, records[i].prm.grpid);
	/* Or as there are */
	ASSERT_EQ(3 * sizeof(*records), read(self->fault, records,
					     sizeof(records)));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(4 + i, records[i].prm.grpid);
	EXPECT_ERRNO(EAGAIN, read(self->fault, records, sizeof(records)));
	for (i = 0; i < 7; i++)
		respond(i, SUCCESS);
}

/* A record that could not be delivered has not been read */
TEST_F(fault, read_to_nowhere)
{
	size_t page_size = sysconf(_SC_PAGE_SIZE);
	struct iommu_fault *at;
	__u8 *mem;

	mem = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(mem != MAP_FAILED);
	ASSERT_EQ(0, mprotect(mem + page_size, page_size, PROT_NONE));
	at = (struct iommu_fault *)(mem + page_size) - 1;

	ask(1, VA_A);
	ask(2, VA_B);
	ASSERT_EQ(POLLIN, fd_wait(self->fault, POLLIN, WAIT_MS));
	sleep_ms(50);
	EXPECT_ERRNO(EFAULT, read(self->fault, at + 1, sizeof(*at)));
	EXPECT_ERRNO(EFAULT, read(self->fault, (__u8 *)at + 1, sizeof(*at)));
	/* The first fits, the second does not */
	EXPECT_EQ(sizeof(*at), read(self->fault, at, 2 * sizeof(*at)));
	EXPECT_EQ(1, at->prm.grpid);
	told(2, VA_B);
	respond(1, SUCCESS);
	respond(2, SUCCESS);
}

TEST_F(fault, write_several)
{
	struct iommu_page_response resp[4];
	const size_t size = sizeof(*resp);
	size_t page_size = sysconf(_SC_PAGE_SIZE);
	__u8 buf[6 * sizeof(*resp)] = {}, *mem;
	__u32 longer = size + 16;
	unsigned int i;

	for (i = 0; i < 12; i++)
		ask(i, VA_A);
	for (i = 0; i < 12; i++)
		told(i, VA_A);
	EXPECT_ERRNO(EINVAL, write(self->fault, resp, 0));

	for (i = 0; i < 4; i++)
		resp[i] = page_response(self->resp_flags, self->name, i, SUCCESS);
	EXPECT_EQ(4 * size, write(self->fault, resp, sizeof(resp)));
	for (i = 0; i < 4; i++)
		test_device_gets(SUCCESS, DEV(0), self->pasid, i);

	/* Up to the one that is wrong; that is the error of the next write */
	for (i = 0; i < 4; i++)
		resp[i] = page_response(self->resp_flags, self->name, 4 + i,
					SUCCESS);
	resp[2].grpid = 200;
	EXPECT_EQ(2 * size, write(self->fault, resp, sizeof(resp)));
	EXPECT_ERRNO(ENOENT, write(self->fault, resp + 2, 2 * size));
	resp[2].code = 3;
	EXPECT_ERRNO(EINVAL, write(self->fault, resp + 2, 2 * size));
	EXPECT_EQ(size, write(self->fault, resp + 3, size));
	test_device_gets(SUCCESS, DEV(0), self->pasid, 4);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 5);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 7);
	test_device_gets_nothing(DEV(0));

	/* A newer user's are longer, and the next one is where they end */
	resp[0] = page_response(self->resp_flags, self->name, 8, SUCCESS);
	resp[0].argsz = longer;
	resp[1] = page_response(self->resp_flags, self->name, 9, SUCCESS);
	memcpy(buf, &resp[0], size);
	memcpy(buf + longer, &resp[1], size);
	EXPECT_EQ(longer + size, write(self->fault, buf, longer + size));
	test_device_gets(SUCCESS, DEV(0), self->pasid, 8);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 9);

	/* The second one is cut, or ends in memory that is not there */
	resp[0] = page_response(self->resp_flags, self->name, 10, SUCCESS);
	resp[1] = page_response(self->resp_flags, self->name, 11, SUCCESS);
	EXPECT_EQ(size, write(self->fault, resp, 2 * size - 1));
	mem = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(mem != MAP_FAILED);
	ASSERT_EQ(0, mprotect(mem + page_size, page_size, PROT_NONE));
	memcpy(mem + page_size - size, &resp[1], size);
	EXPECT_EQ(size, write(self->fault, mem + page_size - size, 2 * size));
	test_device_gets(SUCCESS, DEV(0), self->pasid, 10);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 11);
}

struct reader {
	pthread_t thread;
	int fd;
	struct iommu_fault record;
	ssize_t ret;
	int error;
	volatile bool done;
};

static void *reader_fn(void *arg)
{
	struct reader *reader = arg;

	reader->ret = read(reader->fd, &reader->record, sizeof(reader->record));
	reader->error = errno;
	reader->done = true;
	return NULL;
}

static int reader_join(struct reader *reader)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_MS / 1000;
	return pthread_timedjoin_np(reader->thread, NULL, &until);
}

TEST_F(fault, blocking_read)
{
	struct reader reader = { .fd = self->fault };

	ASSERT_EQ(0, pthread_create(&reader.thread, NULL, reader_fn, &reader));
	sleep_ms(100);
	EXPECT_FALSE(reader.done);
	ask(9, VA_A);
	ASSERT_EQ(0, reader_join(&reader));
	EXPECT_EQ(sizeof(reader.record), reader.ret);
	EXPECT_EQ(9, reader.record.prm.grpid);
	/* Reading does not take from the right to answer */
	respond(9, SUCCESS);
}

static void on_signal(int sig)
{
}

TEST_F(fault, interrupted_read)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct reader reader = { .fd = self->fault };

	/* Without SA_RESTART */
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	ASSERT_EQ(0, pthread_create(&reader.thread, NULL, reader_fn, &reader));
	sleep_ms(100);
	EXPECT_FALSE(reader.done);
	ASSERT_EQ(0, pthread_kill(reader.thread, SIGUSR1));
	ASSERT_EQ(0, reader_join(&reader));
	EXPECT_EQ(-1, reader.ret);
	EXPECT_EQ(EINTR, reader.error);
}

TEST_F(fault, poll_and_end)
{
	struct reader reader = { .fd = self->fault };
	struct iommu_fault record;

	/* Can always be written, read when there is something */
	EXPECT_EQ(POLLOUT, fd_wait(self->fault, POLLIN | POLLOUT, 0));
	ask(9, VA_A);
	EXPECT_EQ(POLLIN, fd_wait(self->fault, POLLIN, WAIT_MS));
	EXPECT_EQ(POLLIN | POLLOUT, fd_wait(self->fault, POLLIN | POLLOUT, 0));
	told(9, VA_A);
	EXPECT_EQ(0, fd_wait(self->fault, POLLIN, 0));
	ask(10, VA_A);
	told(10, VA_A);
	ask(11, VA_A);

	/* A reader that waits learns of the device's end, too */
	test_cmd_fault_read(self->fault, &record);
	ASSERT_EQ(0, pthread_create(&reader.thread, NULL, reader_fn, &reader));
	sleep_ms(100);
	EXPECT_FALSE(reader.done);
	close_fd(&DEV(0));
	ASSERT_EQ(0, reader_join(&reader));
	EXPECT_EQ(0, reader.ret);
	EXPECT_EQ(POLLHUP, fd_wait(self->fault, POLLOUT, 0) & POLLHUP);
	EXPECT_EQ(0, read(self->fault, &record, sizeof(record)));
	EXPECT_EQ(0, read(self->fault, &record, sizeof(record)));
	not_respond(ENODEV, 9, SUCCESS);

	/* Opened again, the device has nothing to do with this descriptor */
	self->vmm.dev[0] = mock_open_device(self->vmm.group[0], 0);
	ASSERT_LE(0, DEV(0));
	EXPECT_EQ(0, read(self->fault, &record, sizeof(record)));
	close_fd(&self->fault);
	self->fault = fault_open(DEV(0));
	ASSERT_LE(0, self->fault);
	test_fault_none(self->fault);
}

/* ---------------------------------------------------------------------
 * A full queue
 */
TEST_F(fault, queue_full)
{
	struct iommu_fault record;
	unsigned int i;

	for (i = 0; i < QUEUE_RECORDS / 64; i++)
		test_cmd_page_request(DEV(0), 0, self->pasid, i, VA_A, 64,
				      PERM_R);
	/* No room: the device is told at once, the guest later */
	for (i = 100; i < 103; i++) {
		test_cmd_page_request(DEV(0), 0, self->pasid, i, VA_B, 3,
				      PERM_R);
		test_device_gets(INVALID, DEV(0), self->pasid, i);
	}
	/* Room for less than a group is no room */
	read_group(_metadata, self, 0, VA_A, 64);
	test_cmd_page_request(DEV(0), 0, self->pasid, 103, VA_B, 64, PERM_R);
	test_device_gets(INVALID, DEV(0), self->pasid, 103);
	/* This one has it, after the record of the loss */
	test_cmd_page_request(DEV(0), 0, self->pasid, 104, VA_B, 63, PERM_R);
	sleep_ms(50);
	test_device_gets_nothing(DEV(0));

	for (i = 1; i < QUEUE_RECORDS / 64; i++)
		read_group(_metadata, self, i, VA_A, 64);
	test_cmd_fault_read(self->fault, &record);
	ASSERT_EQ(IOMMU_FAULT_LOST, record.type);
	EXPECT_EQ(4, record.lost.page_requests);
	EXPECT_EQ(0, record.lost.unrecoverable);
	EXPECT_EQ(0, record.padding);
	for (i = sizeof(record.lost); i < sizeof(record.padding2); i++)
		EXPECT_EQ(0, record.padding2[i]);
	read_group(_metadata, self, 104, VA_B, 63);
	test_fault_none(self->fault);

	/* All that was queued can be answered, what was lost cannot */
	for (i = 0; i < QUEUE_RECORDS / 64; i++) {
		respond(i, SUCCESS);
		test_device_gets(SUCCESS, DEV(0), self->pasid, i);
	}
	respond(104, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 104);
	not_respond(ENOENT, 100, SUCCESS);
}

/* A loss at the end is told as well, without anything that comes after it */
TEST_F(fault, loss_at_the_end)
{
	struct iommu_fault record;
	unsigned int i;

	for (i = 0; i < QUEUE_RECORDS / 64; i++)
		test_cmd_page_request(DEV(0), 0, self->pasid, i, VA_A, 64,
				      PERM_R);
	ask(100, VA_B);
	test_device_gets(INVALID, DEV(0), self->pasid, 100);
	for (i = 0; i < QUEUE_RECORDS / 64; i++)
		read_group(_metadata, self, i, VA_A, 64);
	EXPECT_EQ(POLLIN, fd_wait(self->fault, POLLIN, 0));
	test_cmd_fault_read(self->fault, &record);
	ASSERT_EQ(IOMMU_FAULT_LOST, record.type);
	EXPECT_EQ(1, record.lost.page_requests);
	test_fault_none(self->fault);
}

/* Groups that wait for their answer have a limit, too, read or not */
TEST_F(fault, too_many_groups)
{
	struct iommu_fault record;
	unsigned int i;

	/* Two groups with each index; the older one is answered first */
	for (i = 0; i < QUEUE_GROUPS; i++) {
		ask(i % 256, VA_A);
		told(i % 256, VA_A);
	}
	test_device_gets_nothing(DEV(0));
	test_cmd_page_request(DEV(0), 0, self->pasid, 300, VA_B, 1, PERM_R);
	test_device_gets(INVALID, DEV(0), self->pasid, 300);
	respond(17, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 17);
	test_cmd_fault_read(self->fault, &record);
	ASSERT_EQ(IOMMU_FAULT_LOST, record.type);
	EXPECT_EQ(1, record.lost.page_requests);
	test_cmd_page_request(DEV(0), 0, self->pasid, 301, VA_B, 1, PERM_R);
	told(301, VA_B);
	respond(301, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 301);
}

/*
 * The device cannot tell answers to two groups of one name apart, but the room
 * that the first answer makes is that of the older group.
 */
TEST_F(fault, same_index_room)
{
	unsigned int nr[] = { 64, 1, 63, 64, 64, 64, 64, 64, 64 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(nr); i++) {
		__u32 grpid = i < 2 ? 9 : 9 + i;

		test_cmd_page_request(DEV(0), 0, self->pasid, grpid, VA_A, nr[i],
				      PERM_R);
		read_group(_metadata, self, grpid, VA_A, nr[i]);
	}
	respond(9, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 9);
	test_cmd_page_request(DEV(0), 0, self->pasid, 8, VA_B, 64, PERM_R);
	test_device_gets_nothing(DEV(0));
	read_group(_metadata, self, 8, VA_B, 64);
	/* Nothing is left of it */
	test_cmd_page_request(DEV(0), 0, self->pasid, 7, VA_B, 1, PERM_R);
	test_device_gets(INVALID, DEV(0), self->pasid, 7);
	respond(9, FAILURE);
	test_device_gets(FAILURE, DEV(0), self->pasid, 9);
	not_respond(ENOENT, 9, SUCCESS);
}

/* ---------------------------------------------------------------------
 * Transactions that wait for a page
 */
#define dma_waits(dma)							\
	({								\
		ASSERT_EQ(0, dma_thread_start(dma));			\
	})

TEST_F(fault, dma_served)
{
	struct dma_thread dma = {
		.dev = DEV(0),
		.flags = MOCK_DMA_PRI,
		.pasid = self->pasid,
		.addr = VA_A + 8,
	};
	struct iommu_fault record;
	__u64 want = fresh_value();

	guest_write(&self->vmm, self->page + 8, want);
	dma_waits(&dma);
	test_cmd_fault_read(self->fault, &record);
	ASSERT_EQ(IOMMU_FAULT_PAGE_REQ, record.type);
	EXPECT_EQ(self->name, record.prm.pasid);
	EXPECT_EQ(self->prq_flags | LAST | IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
		  record.prm.flags);
	EXPECT_EQ(VA_A, record.prm.addr);
	EXPECT_EQ(PERM_R, record.prm.perm);
	sleep_ms(50);
	EXPECT_EQ(-1, dma.status);

	guest_map(&self->pt, VA_A, self->page);
	respond(record.prm.grpid, SUCCESS);
	ASSERT_EQ(0, dma_thread_join(&dma));
	EXPECT_EQ(MOCK_DMA_OK, dma.status);
	EXPECT_EQ(want, dma.value);
	/* Its answer was for the transaction */
	test_device_gets_nothing(DEV(0));
	/* What it never was is a fault that cannot be helped */
	EXPECT_EQ(0, mock_stats(DEV(0)).unrecoverable);
	test_fault_none(self->fault);
}

/* The guest says "success" without having done anything: it is asked again */
TEST_F(fault, dma_not_served)
{
	struct dma_thread dma = {
		.dev = DEV(0),
		.flags = MOCK_DMA_PRI,
		.pasid = self->pasid,
		.addr = VA_A,
	};
	struct iommu_fault record;
	int i;

	guest_write(&self->vmm, self->page, fresh_value());
	dma_waits(&dma);
	for (i = 0; i < 3; i++) {
		test_cmd_fault_read(self->fault, &record);
		EXPECT_EQ(VA_A, record.prm.addr);
		if (i == 2)
			guest_map(&self->pt, VA_A, self->page);
		respond(record.prm.grpid, SUCCESS);
	}
	ASSERT_EQ(0, dma_thread_join(&dma));
	EXPECT_EQ(MOCK_DMA_OK, dma.status);
}

TEST_F(fault, dma_refused)
{
	static const struct {
		__u32 code;
		int status;
	} ends[] = {
		{ INVALID, MOCK_DMA_PRI_INVALID },
		{ FAILURE, MOCK_DMA_PRI_FAILURE },
	};
	struct dma_thread dma = {
		.dev = DEV(0),
		.flags = MOCK_DMA_PRI | MOCK_DMA_WRITE,
		.pasid = self->pasid,
		.addr = VA_A,
	};
	struct iommu_fault record;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		dma_waits(&dma);
		test_cmd_fault_read(self->fault, &record);
		EXPECT_EQ(PERM_W, record.prm.perm);
		respond(record.prm.grpid, ends[i].code);
		ASSERT_EQ(0, dma_thread_join(&dma));
		EXPECT_EQ(ends[i].status, dma.status);
	}
}

/* A page that is there, but not for this: the request says for what */
TEST_F(fault, dma_permission)
{
	struct dma_thread dma = {
		.dev = DEV(0),
		.flags = MOCK_DMA_PRI | MOCK_DMA_WRITE,
		.pasid = self->pasid,
		.addr = VA_A,
		.value = fresh_value(),
	};
	struct iommu_fault record;

	guest_map_level(&self->pt, VA_A, self->page, VTD_RO, 1);
	test_dma_read(DEV(0), self->pasid, VA_A, self->page);
	dma_waits(&dma);
	test_cmd_fault_read(self->fault, &record);
	EXPECT_EQ(PERM_W, record.prm.perm);
	guest_map(&self->pt, VA_A, self->page);
	respond(record.prm.grpid, SUCCESS);
	ASSERT_EQ(0, dma_thread_join(&dma));
	EXPECT_EQ(MOCK_DMA_OK, dma.status);
	EXPECT_EQ(dma.value, guest_read(&self->vmm, self->page));
}

struct long_dma {
	pthread_t thread;
	int dev;
	__u32 pasid;
	__u64 addr;
	__u32 len;
	__u8 *data;
	int status;
};

static void *long_dma_fn(void *arg)
{
	struct long_dma *dma = arg;

	dma->status = mock_dma(dma->dev, MOCK_DMA_PRI | MOCK_DMA_ATS,
			       dma->pasid, dma->addr, dma->data, dma->len);
	return NULL;
}

/* The device asks for all that is missing of a long transaction at once */
TEST_F(fault, dma_of_many_pages)
{
	__u8 data[8 * SZ_4K];
	struct long_dma dma = {
		.dev = DEV(0),
		.pasid = self->pasid,
		.addr = VA_A,
		.len = sizeof(data),
		.data = data,
	};
	struct iommu_fault record;
	bool asked[8] = {};
	__u64 pages[8];
	unsigned int i;

	for (i = 0; i < 8; i++) {
		pages[i] = guest_page(&self->vmm);
		memset(guest_ptr(&self->vmm, pages[i]), 0x40 + i, SZ_4K);
		if (i == 2 || i == 5)
			guest_map(&self->pt, VA_A + i * SZ_4K, pages[i]);
	}
	ASSERT_EQ(0, pthread_create(&dma.thread, NULL, long_dma_fn, &dma));
	do {
		test_cmd_fault_read(self->fault, &record);
		ASSERT_EQ(IOMMU_FAULT_PAGE_REQ, record.type);
		i = (record.prm.addr - VA_A) / SZ_4K;
		ASSERT_LT(i, 8);
		EXPECT_FALSE(asked[i]);
		asked[i] = true;
		guest_map(&self->pt, record.prm.addr, pages[i]);
	} while (!(record.prm.flags & LAST));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(i != 2 && i != 5, asked[i]);
	respond(record.prm.grpid, SUCCESS);
	ASSERT_EQ(0, pthread_join(dma.thread, NULL));
	EXPECT_EQ(MOCK_DMA_OK, dma.status);
	for (i = 0; i < sizeof(data); i++)
		ASSERT_EQ(0x40 + i / SZ_4K, data[i]);
}

/* Whatever ends the wait, it ends */
TEST_F(fault, dma_waits_for_nobody)
{
	struct dma_thread dma = {
		.dev = DEV(0),
		.flags = MOCK_DMA_PRI,
		.pasid = self->pasid,
		.addr = VA_A,
	};
	struct iommu_fault record;

	/* The file is closed */
	dma_waits(&dma);
	test_cmd_fault_read(self->fault, &record);
	close_fd(&self->fault);
	ASSERT_EQ(0, dma_thread_join(&dma));
	EXPECT_EQ(MOCK_DMA_PRI_INVALID, dma.status);
	/* Nobody has it open */
	dma_waits(&dma);
	ASSERT_EQ(0, dma_thread_join(&dma));
	EXPECT_EQ(MOCK_DMA_PRI_INVALID, dma.status);

	/* The device is reset: its old request is not answered any more */
	self->fault = fault_open(DEV(0));
	ASSERT_LE(0, self->fault);
	dma_waits(&dma);
	test_cmd_fault_read(self->fault, &record);
	ASSERT_DONE(ioctl(DEV(0), VFIO_DEVICE_RESET));
	ASSERT_EQ(0, dma_thread_join(&dma));
	EXPECT_EQ(-1, dma.status);
	EXPECT_EQ(ECANCELED, dma.error);
	/* Who answers it does not know that, and does no harm */
	respond(record.prm.grpid, SUCCESS);
	test_device_gets_nothing(DEV(0));

	/* The binding ends, read or not */
	dma_waits(&dma);
	ASSERT_EQ(POLLIN, fd_wait(self->fault, POLLIN, WAIT_MS));
	test_cmd_unbind(self->scope, self->pasid);
	ASSERT_EQ(0, dma_thread_join(&dma));
	EXPECT_EQ(MOCK_DMA_PRI_INVALID, dma.status);
	test_dma_stopped_flags(MOCK_DMA_BLOCKED, DEV(0), MOCK_DMA_PRI,
			       self->pasid, VA_A);
}

/* Four engines of the device and a guest that serves them, for a while */
struct engine {
	pthread_t thread;
	struct vmm *vmm;
	int dev;
	__u32 pasid;
	__u64 base;
	volatile bool *stop;
	unsigned long rounds;
	unsigned long bad;
};

static void *engine_fn(void *arg)
{
	struct engine *engine = arg;
	__u64 value;

	while (!*engine->stop && engine->rounds < 200) {
		value = 0;
		if (mock_dma_read(engine->dev, MOCK_DMA_PRI, engine->pasid,
				  engine->base + engine->rounds * SZ_4K,
				  &value) != MOCK_DMA_OK ||
		    value != 0x600dULL)
			engine->bad++;
		engine->rounds++;
	}
	return NULL;
}

TEST_F(fault, many_engines)
{
	struct engine engines[4] = {};
	volatile bool stop = false;
	struct iommu_fault record;
	unsigned int i, served = 0;

	guest_write(&self->vmm, self->page, 0x600d);
	/* The tables are made beforehand */
	for (i = 0; i < 4; i++)
		guest_pt_entry(&self->pt, VA_A + i * SZ_1G, 1);
	for (i = 0; i < 4; i++) {
		engines[i] = (struct engine) {
			.vmm = &self->vmm,
			.dev = DEV(0),
			.pasid = self->pasid,
			.base = (VA_A & ~(SZ_2M - 1)) + i * SZ_1G,
			.stop = &stop,
		};
		ASSERT_EQ(0, pthread_create(&engines[i].thread, NULL,
					    engine_fn, &engines[i]));
	}
	while (served < 4 * 200) {
		test_cmd_fault_read(self->fault, &record);
		ASSERT_EQ(IOMMU_FAULT_PAGE_REQ, record.type);
		guest_map(&self->pt, record.prm.addr, self->page);
		respond(record.prm.grpid, SUCCESS);
		served++;
	}
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, pthread_join(engines[i].thread, NULL));
		EXPECT_EQ(200, engines[i].rounds);
		EXPECT_EQ(0, engines[i].bad);
	}
	test_fault_none(self->fault);
}

/* ---------------------------------------------------------------------
 * Faults that cannot be helped
 */
#define EV_ADDR		IOMMU_FAULT_UNRECOV_ADDR_VALID
#define EV_FETCH	IOMMU_FAULT_UNRECOV_FETCH_ADDR_VALID
#define EV_PASID	IOMMU_FAULT_UNRECOV_PASID_VALID

#define test_fault_unrecoverable(_reason, _flags, _pasid, _perm, _addr, _fetch) \
	({								\
		struct iommu_fault _rec;				\
		unsigned int _i;					\
									\
		test_cmd_fault_read(self->fault, &_rec);		\
		EXPECT_EQ(IOMMU_FAULT_DMA_UNRECOV, _rec.type);		\
		EXPECT_EQ(0, _rec.padding);				\
		EXPECT_EQ(_reason, _rec.event.reason);			\
		EXPECT_EQ(_flags, _rec.event.flags);			\
		EXPECT_EQ(_pasid, _rec.event.pasid);			\
		EXPECT_EQ(_perm, _rec.event.perm);			\
		EXPECT_EQ(_addr, _rec.event.addr);			\
		EXPECT_EQ(_fetch, _rec.event.fetch_addr);		\
		for (_i = sizeof(_rec.event);				\
		     _i < sizeof(_rec.padding2); _i++)			\
			EXPECT_EQ(0, _rec.padding2[_i]);		\
	})

/* A read that fails like this */
#define unrecoverable_read(_reason, _va, _fetch)			\
	({								\
		__u64 _got, _at = _fetch;				\
									\
		EXPECT_EQ(MOCK_DMA_ABORT_S1,				\
			  mock_dma_read(DEV(0), 0, self->pasid, _va,	\
					&_got));			\
		test_fault_unrecoverable(_reason, self->event_flags |	\
					 EV_PASID | EV_ADDR |		\
					 (_at ? EV_FETCH : 0),		\
					 self->name, PERM_R, _va, _at);	\
	})

TEST_F(fault, unrecoverable)
{
	const __u64 entry = guest_pt_entry(&self->pt, VA_A, 1);
	const __u64 table = guest_pt_entry(&self->pt, VA_A, 3);
	const __u64 root = guest_pt_entry(&self->pt, VA_B, 4);
	__u64 saved, value = fresh_value();

	/* Not present, in the leaf and above */
	unrecoverable_read(IOMMU_FAULT_REASON_PTE_FETCH, VA_A, entry);
	unrecoverable_read(IOMMU_FAULT_REASON_PTE_FETCH, VA_A + 0x123, entry);
	guest_write(&self->vmm, root, 0);
	unrecoverable_read(IOMMU_FAULT_REASON_PTE_FETCH, VA_B, root);

	/* Malformed: reserved bits */
	guest_write(&self->vmm, entry, self->page | VTD_RW | 1ULL << 51);
	unrecoverable_read(IOMMU_FAULT_REASON_PTE_FETCH, VA_A, entry);

	/* Permission */
	guest_write(&self->vmm, entry, self->page | VTD_RO);
	EXPECT_EQ(MOCK_DMA_ABORT_S1, mock_dma_write(DEV(0), 0, self->pasid,
						    VA_A + 16, value));
	test_fault_unrecoverable(IOMMU_FAULT_REASON_PERMISSION,
				 self->event_flags | EV_PASID | EV_ADDR |
				 EV_FETCH, self->name, PERM_W, VA_A + 16,
				 entry);
	guest_write(&self->vmm, entry, self->page | VTD_P | VTD_W);
	unrecoverable_read(IOMMU_FAULT_REASON_PERMISSION, VA_A, entry);
	EXPECT_EQ(MOCK_DMA_ABORT_S1,
		  mock_dma_read(DEV(0), MOCK_DMA_PRIV | MOCK_DMA_EXEC,
				self->pasid, VA_A, &value));
	test_fault_unrecoverable(IOMMU_FAULT_REASON_PERMISSION,
				 self->event_flags | EV_PASID | EV_ADDR |
				 EV_FETCH, self->name,
				 PERM_R | IOMMU_FAULT_PERM_PRIV |
				 IOMMU_FAULT_PERM_EXEC, VA_A, entry);

	/* A table that is not in guest memory */
	saved = guest_read(&self->vmm, table);
	guest_write(&self->vmm, table, (GUEST_RAM - SZ_4K) | VTD_RW);
	unrecoverable_read(IOMMU_FAULT_REASON_WALK_EABT, VA_A,
			   GUEST_RAM - SZ_4K + ((VA_A >> 21) & 511) * 8);
	guest_write(&self->vmm, table, saved);

	/* An address that no table translates */
	unrecoverable_read(IOMMU_FAULT_REASON_OOR_ADDRESS, 1ULL << 47, 0);
	unrecoverable_read(IOMMU_FAULT_REASON_OOR_ADDRESS, 1ULL << 63, 0);

	EXPECT_EQ(10, mock_stats(DEV(0)).unrecoverable);

	/* Stage 2 is no concern of the guest's */
	guest_write(&self->vmm, entry, (GUEST_RAM - SZ_4K) | VTD_RW);
	test_dma_stopped(MOCK_DMA_ABORT_S2, DEV(0), self->pasid, VA_A);
	test_dma_stopped(MOCK_DMA_BLOCKED, DEV(0), self->pasid + 1, VA_A);
	test_fault_none(self->fault);
	EXPECT_EQ(10, mock_stats(DEV(0)).unrecoverable);
}

TEST_F(fault, unrecoverable_without_pasid)
{
	struct guest_pt pt;
	__u64 value;

	guest_pt_init(&pt, &self->vmm, GUEST_PT_VTD, 5);
	test_cmd_bind(self->scope, &pt, NO_PASID);
	EXPECT_EQ(MOCK_DMA_ABORT_S1, mock_dma_read(DEV(0), 0, NO_PASID, VA_A,
						   &value));
	test_fault_unrecoverable(IOMMU_FAULT_REASON_PTE_FETCH,
				 EV_ADDR | EV_FETCH, 0, PERM_R, VA_A, pt.root);
}

TEST_F(fault, trace)
{
	struct iommu_cache_invalidate_info inv;

	rmdir(TRACE_INSTANCE);
	if (mkdir(TRACE_INSTANCE, 0700))
		SKIP(return, "no tracing");
	ASSERT_EQ(0, param_set(TRACE_ENABLE, 1));

	ask(9, VA_A);
	told(9, VA_A);
	respond(9, INVALID);
	inv = inv_addr(IOMMU_CACHE_INV_TYPE_IOTLB, self->pasid, VA_B, SZ_4K, 3);
	test_cmd_inv(self->scope, inv);
	unrecoverable_read(IOMMU_FAULT_REASON_PTE_FETCH, VA_A,
			   guest_pt_entry(&self->pt, VA_A, 1));
	test_cmd_unbind(self->scope, self->pasid);
	test_err_unbind(ENOENT, self->scope, self->pasid);
	test_cmd_bind_gpasid(self->scope, &self->pt, self->pasid, 0x4712);

	test_traced("iommu_uapi_page_request: %s", "dev=");
	test_traced("grpid=9 nr=1 last addr=%#llx perm=%#x", VA_A, PERM_R);
	test_traced("grpid=9 code=%u", INVALID);
	test_traced("pasid=%u cache=%#x granularity=%u addr=%#llx size=%#llx ret=0",
		    self->pasid, IOMMU_CACHE_INV_TYPE_IOTLB,
		    IOMMU_INV_GRANU_ADDR, VA_B, 3 * SZ_4K);
	test_traced("reason=%u flags=", IOMMU_FAULT_REASON_PTE_FETCH);
	test_traced("page table pasid=%u", self->pasid);
	test_traced("gpasid=%u gpgd=%#llx addr_width=48", 0x4712,
		    self->pt.root);

	ASSERT_EQ(0, param_set(TRACE_ENABLE, 0));
	EXPECT_EQ(0, rmdir(TRACE_INSTANCE));
}

/* Devices fail faster than anybody can read; the count is exact */
TEST_F(fault, flood)
{
	struct iommu_fault record;
	__u64 received = 0, lost = 0, next = 0;
	const __u32 total = 1000;

	test_cmd_inject(DEV(0), MOCK_INJECT_UNRECOVERABLE, total);
	while (received + lost < total) {
		test_cmd_fault_read(self->fault, &record);
		if (record.type == IOMMU_FAULT_LOST) {
			EXPECT_EQ(0, record.lost.page_requests);
			lost += record.lost.unrecoverable;
			next += record.lost.unrecoverable;
			continue;
		}
		ASSERT_EQ(IOMMU_FAULT_DMA_UNRECOV, record.type);
		EXPECT_EQ(IOMMU_FAULT_REASON_UNKNOWN, record.event.reason);
		EXPECT_EQ(EV_ADDR, record.event.flags);
		/* In order, and the loss is where something is missing */
		ASSERT_EQ(next << 12, record.event.addr);
		next++;
		received++;
	}
	EXPECT_EQ(QUEUE_RECORDS, received);
	EXPECT_EQ(total - QUEUE_RECORDS, lost);
	test_fault_none(self->fault);
	EXPECT_EQ(total, mock_stats(DEV(0)).unrecoverable);
}

/* Both kinds, in the order in which they happened; a loss of both is one record */
TEST_F(fault, mixed)
{
	struct iommu_fault record;
	unsigned int i;
	__u64 value;

	ask(1, VA_B);
	ASSERT_EQ(POLLIN, fd_wait(self->fault, POLLIN, WAIT_MS));
	EXPECT_EQ(MOCK_DMA_ABORT_S1, mock_dma_read(DEV(0), 0, self->pasid, VA_A,
						   &value));
	ask(2, VA_B);
	told(1, VA_B);
	test_cmd_fault_read(self->fault, &record);
	EXPECT_EQ(IOMMU_FAULT_DMA_UNRECOV, record.type);
	told(2, VA_B);

	test_cmd_inject(DEV(0), MOCK_INJECT_UNRECOVERABLE, QUEUE_RECORDS + 5);
	ask(3, VA_B);
	test_device_gets(INVALID, DEV(0), self->pasid, 3);
	ask(4, VA_B);
	test_device_gets(INVALID, DEV(0), self->pasid, 4);
	test_cmd_inject(DEV(0), MOCK_INJECT_UNRECOVERABLE, 1);
	for (i = 0; i < QUEUE_RECORDS; i++)
		test_cmd_fault_read(self->fault, &record);
	EXPECT_EQ(IOMMU_FAULT_DMA_UNRECOV, record.type);
	test_cmd_fault_read(self->fault, &record);
	ASSERT_EQ(IOMMU_FAULT_LOST, record.type);
	EXPECT_EQ(6, record.lost.unrecoverable);
	EXPECT_EQ(2, record.lost.page_requests);
	test_fault_none(self->fault);
	/* Groups from before are as they were */
	respond(2, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 2);
	respond(1, SUCCESS);
	test_device_gets(SUCCESS, DEV(0), self->pasid, 1);
}

TEST_HARNESS_MAIN
