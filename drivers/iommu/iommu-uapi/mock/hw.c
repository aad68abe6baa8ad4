// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mock hardware of the IOMMU user API: the devices, and what is attached to them
 */
#include <linux/irqdomain.h>
#include <linux/module.h>
#include <linux/property.h>
#include <linux/slab.h>

#include "../private.h"
#include "mock.h"

static unsigned int lack;
static unsigned int style;
static unsigned int plugged = BIT(MOCK_NR_DEVICES) - 1;

static int set_lack(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 0, MOCK_FEATURES);
}

static int set_style(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 0, MOCK_STYLE_NR - 1);
}

static int set_plugged(const char *val, const struct kernel_param *kp);

static int set_grow(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 0, IOMMU_UAPI_TEST_GROW_MAX);
}

static const struct kernel_param_ops lack_ops = {
	.set = set_lack,
	.get = param_get_uint,
};

static const struct kernel_param_ops style_ops = {
	.set = set_style,
	.get = param_get_uint,
};

static const struct kernel_param_ops plugged_ops = {
	.set = set_plugged,
	.get = param_get_uint,
};

static const struct kernel_param_ops grow_ops = {
	.set = set_grow,
	.get = param_get_uint,
};

module_param_cb(lack, &lack_ops, &lack, 0644);
MODULE_PARM_DESC(lack, "mask of features (IOMMU_NESTING_FEAT_*) that devices do not have");
module_param_cb(style, &style_ops, &style, 0644);
MODULE_PARM_DESC(style, "0: page table per PASID (VT-d), 1: PASID table (SMMUv3)");
module_param_cb(plugged, &plugged_ops, &plugged, 0644);
MODULE_PARM_DESC(plugged, "mask of the devices that there are; taking one away waits until it is closed");
module_param_cb(grow, &grow_ops, &iommu_uapi_test_grow, 0644);
MODULE_PARM_DESC(grow, "bytes by which payloads have grown in the newer kernel that this one plays");

struct mock_client *mock_clients[MOCK_NR_DEVICES];
static struct platform_device *iommu_pdev;
static struct iommu_device mock_iommu;
static struct irq_domain *msi_domain;
static struct fwnode_handle *msi_fwnode;

/**
 * mock_client_of() - The device behind a struct device
 * @dev: device
 *
 * Return: the device, NULL if it is not one of ours
 */
struct mock_client *mock_client_of(struct device *dev)
{
	unsigned int i;

	for (i = 0; i < MOCK_NR_DEVICES; i++)
		if (mock_clients[i] && &mock_clients[i]->pdev->dev == dev)
			return mock_clients[i];
	return NULL;
}

/**
 * mock_style_of() - How guests describe their address spaces to a device
 * @client: device
 *
 * Return: a &enum mock_style
 */
unsigned int mock_style_of(struct mock_client *client)
{
	return READ_ONCE(client->rid) ? client->style : READ_ONCE(style);
}

/**
 * mock_features_of() - What a device can do
 * @client: device
 *
 * Return: mask of IOMMU_NESTING_FEAT_*; 0: no nested translation at all
 */
unsigned int mock_features_of(struct mock_client *client)
{
	unsigned int lacks = READ_ONCE(client->rid) ? client->lack :
						      READ_ONCE(lack);
	unsigned int features = MOCK_FEATURES & ~lacks;

	/* The two kinds of bind exclude each other. */
	if (mock_style_of(client) == MOCK_STYLE_VTD)
		features &= ~IOMMU_NESTING_FEAT_BIND_PASID_TABLE;
	else
		features &= ~(IOMMU_NESTING_FEAT_BIND_PGTBL |
			      IOMMU_NESTING_FEAT_SYSWIDE_PASID);
	return features;
}

/**
 * mock_injected() - Whether an operation is to fail
 * @client: device
 * @what: MOCK_INJECT_*
 *
 * Return: whether
 */
bool mock_injected(struct mock_client *client, unsigned int what)
{
	if (atomic_dec_if_positive(&client->spare[what]) >= 0)
		return false;
	return atomic_dec_if_positive(&client->inject[what]) >= 0;
}

/**
 * mock_injected_inv() - Whether an invalidation is to fail
 * @client: device
 *
 * Return: 0, or the error
 */
int mock_injected_inv(struct mock_client *client)
{
	if (mock_injected(client, MOCK_INJECT_INV_TIMEOUT))
		return -ETIMEDOUT;
	if (mock_injected(client, MOCK_INJECT_INV_ERROR))
		return -EIO;
	return 0;
}

/**
 * mock_bind_held() - Take as long to bind as a test wants
 * @client: device
 *
 * Ends as well when the caller is killed.
 */
void mock_bind_held(struct mock_client *client)
{
	wait_event_killable(client->held,
			    !atomic_read(&client->inject[MOCK_INJECT_BIND_HELD]));
}

/**
 * mock_flush() - Drop all that is cached of a stage 1
 * @client: device
 * @nested: the stage 1
 */
void mock_flush(struct mock_client *client, const struct mock_nested *nested)
{
	struct mock_select select = { .nested = nested, .last = U64_MAX };

	lockdep_assert_held_write(&client->lock);

	mock_tlb_invalidate(&client->iotlb, &select);
	mock_tlb_invalidate(&client->devtlb, &select);
	mock_psc_invalidate(&client->psc, &select);
	mock_cd_invalidate(&client->cd_cache, &select);
}

/**
 * mock_attached() - What a request meets
 * @client: device
 * @has_pasid: the request has a PASID
 * @pasid: which
 *
 * Context: client->lock is held
 *
 * Return: a paging or a nested domain; NULL if the request is blocked
 */
struct iommu_domain *mock_attached(struct mock_client *client, bool has_pasid,
				   u32 pasid)
{
	struct iommu_domain *domain;

	lockdep_assert_held(&client->lock);

	if (!has_pasid)
		return client->rid;
	domain = xa_load(&client->pasids, pasid);
	if (domain)
		return domain;
	/* A PASID table serves them all. */
	domain = client->rid;
	if (domain && mock_is_nested(domain) && to_nested(domain)->config)
		return domain;
	return NULL;
}

static void set_rid(struct mock_client *client, struct iommu_domain *domain)
{
	struct iommu_domain *old;

	down_write(&client->lock);
	old = client->rid;
	if (old && mock_is_nested(old))
		mock_flush(client, to_nested(old));
	if (!old && domain) {
		client->style = READ_ONCE(style);
		client->lack = READ_ONCE(lack);
	}
	WRITE_ONCE(client->rid, domain);
	up_write(&client->lock);
}

/**
 * mock_attach_rid() - &iommu_domain_ops.attach_dev
 * @domain: paging or nested domain
 * @dev: device
 *
 * Return: 0 or -EIO
 */
int mock_attach_rid(struct iommu_domain *domain, struct device *dev)
{
	struct mock_client *client = mock_client_of(dev);

	if (mock_injected(client, MOCK_INJECT_ATTACH_ERROR))
		return -EIO;
	set_rid(client, domain);
	return 0;
}

static int attach_blocked(struct iommu_domain *domain, struct device *dev)
{
	set_rid(mock_client_of(dev), NULL);
	return 0;
}

/**
 * mock_attach_pasid() - &iommu_domain_ops.set_dev_pasid
 * @domain: nested domain
 * @dev: device
 * @pasid: PASID
 * @old: what is attached there so far
 *
 * Return: 0, -ENOMEM or -EIO
 */
int mock_attach_pasid(struct iommu_domain *domain, struct device *dev,
		      ioasid_t pasid, struct iommu_domain *old)
{
	struct mock_client *client = mock_client_of(dev);
	void *entry;

	if (mock_injected(client, MOCK_INJECT_ATTACH_ERROR))
		return -EIO;
	down_write(&client->lock);
	entry = xa_store(&client->pasids, pasid, domain, GFP_KERNEL);
	if (!xa_is_err(entry) && old)
		mock_flush(client, to_nested(old));
	up_write(&client->lock);
	return xa_err(entry);
}

static void mock_remove_pasid(struct device *dev, ioasid_t pasid,
			      struct iommu_domain *domain)
{
	struct mock_client *client = mock_client_of(dev);

	down_write(&client->lock);
	xa_erase(&client->pasids, pasid);
	mock_flush(client, to_nested(domain));
	up_write(&client->lock);
}

static struct iommu_domain blocked_domain = {
	.type = IOMMU_DOMAIN_BLOCKED,
	.ops = &(const struct iommu_domain_ops) {
		.attach_dev = attach_blocked,
	},
};

static bool mock_capable(struct device *dev, enum iommu_cap cap)
{
	return cap == IOMMU_CAP_CACHE_COHERENCY;
}

static struct iommu_device *mock_probe_device(struct device *dev)
{
	return mock_client_of(dev) ? &mock_iommu : ERR_PTR(-ENODEV);
}

/* The devices that are not alone are together. */
static struct iommu_group *mock_device_group(struct device *dev)
{
	struct iommu_group *group;
	unsigned int i;

	if (mock_client_of(dev)->id < MOCK_NR_SINGLE)
		return generic_device_group(dev);
	for (i = MOCK_NR_SINGLE; i < MOCK_NR_DEVICES; i++) {
		if (!mock_clients[i] || &mock_clients[i]->pdev->dev == dev)
			continue;
		group = iommu_group_get(&mock_clients[i]->pdev->dev);
		if (group)
			return group;
	}
	return generic_device_group(dev);
}

const struct iommu_ops mock_iommu_ops = {
	.owner = THIS_MODULE,
	.capable = mock_capable,
	.hw_info = mock_hw_info,
	.domain_alloc_paging = mock_stage2_alloc,
	.domain_alloc_user = mock_domain_alloc_user,
	.probe_device = mock_probe_device,
	.device_group = mock_device_group,
	.dev_enable_feat = mock_dev_enable_feat,
	.dev_disable_feat = mock_dev_disable_feat,
	.page_response = mock_page_response,
	.remove_dev_pasid = mock_remove_pasid,
	.pgsize_bitmap = SZ_4K,
	/* No kernel driver has a use for the devices. */
	.default_domain = &blocked_domain,
	.blocked_domain = &blocked_domain,
	.release_domain = &blocked_domain,
	.user_pasid_table = true,
	.uapi_ops = &mock_uapi_ops,
	.default_domain_ops = &mock_stage2_ops,
};

/*
 * A device that is made of software does not write to an interrupt controller
 * behind the kernel's back. VFIO learns it from the interrupt domain.
 */
static int __init msi_init(void)
{
	static const struct irq_domain_ops ops = {};

	msi_fwnode = irq_domain_alloc_named_fwnode("iommu-uapi-mock");
	if (!msi_fwnode)
		return -ENOMEM;
	msi_domain = irq_domain_create_linear(msi_fwnode, 0, &ops, NULL);
	if (!msi_domain) {
		irq_domain_free_fwnode(msi_fwnode);
		return -ENOMEM;
	}
	msi_domain->flags |= IRQ_DOMAIN_FLAG_ISOLATED_MSI;
	return 0;
}

static void __init msi_exit(void)
{
	irq_domain_remove(msi_domain);
	irq_domain_free_fwnode(msi_fwnode);
}

static int __init iommu_init(void)
{
	/* A node of its own, by which its clients find the IOMMU */
	static const struct property_entry props[] = {
		PROPERTY_ENTRY_STRING("compatible", "linux,iommu-uapi-mock"),
		{}
	};
	int ret;

	iommu_pdev = platform_device_alloc("iommu-uapi-mock-iommu",
					   PLATFORM_DEVID_NONE);
	if (!iommu_pdev)
		return -ENOMEM;
	ret = device_create_managed_software_node(&iommu_pdev->dev, props, NULL);
	if (!ret)
		ret = platform_device_add(iommu_pdev);
	if (ret) {
		platform_device_put(iommu_pdev);
		return ret;
	}

	mock_iommu.max_pasids = BIT(MOCK_PASID_BITS);
	ret = iommu_device_sysfs_add(&mock_iommu, &iommu_pdev->dev, NULL,
				     "iommu-uapi-mock");
	if (ret)
		goto err_pdev;
	ret = iommu_device_register(&mock_iommu, &mock_iommu_ops,
				    &iommu_pdev->dev);
	if (ret)
		goto err_sysfs;
	return 0;

err_sysfs:
	iommu_device_sysfs_remove(&mock_iommu);
err_pdev:
	platform_device_unregister(iommu_pdev);
	return ret;
}

static void __init iommu_exit(void)
{
	iommu_device_unregister(&mock_iommu);
	iommu_device_sysfs_remove(&mock_iommu);
	platform_device_unregister(iommu_pdev);
}

static void client_setup(struct mock_client *client, unsigned int id)
{
	client->id = id;
	init_rwsem(&client->lock);
	xa_init_flags(&client->pasids, XA_FLAGS_ACCOUNT);
	mock_tlb_init(&client->iotlb);
	mock_tlb_init(&client->devtlb);
	spin_lock_init(&client->cd_cache.lock);
	spin_lock_init(&client->psc.lock);
	init_waitqueue_head(&client->held);
	spin_lock_init(&client->prq_lock);
	INIT_LIST_HEAD(&client->prq_pending);
	INIT_LIST_HEAD(&client->prq_answered);
}

static int client_add(unsigned int id)
{
	static const struct property_entry props[] = {
		PROPERTY_ENTRY_U32("pasid-num-bits", MOCK_PASID_BITS),
		{}
	};
	struct mock_client *client;
	int ret;

	client = kzalloc(sizeof(*client), GFP_KERNEL);
	if (!client)
		return -ENOMEM;
	client_setup(client, id);
	client->pdev = platform_device_alloc("iommu-uapi-mock", id);
	if (!client->pdev) {
		kfree(client);
		return -ENOMEM;
	}
	mock_clients[id] = client;

	dev_set_msi_domain(&client->pdev->dev, msi_domain);
	ret = device_create_managed_software_node(&client->pdev->dev, props,
						  NULL);
	if (ret)
		goto err_put;
	mutex_lock(&iommu_probe_device_lock);
	ret = iommu_fwspec_init(&client->pdev->dev, dev_fwnode(&iommu_pdev->dev));
	mutex_unlock(&iommu_probe_device_lock);
	if (!ret)
		ret = platform_device_add(client->pdev);
	if (ret)
		goto err_put;
	return 0;

err_put:
	mock_clients[id] = NULL;
	platform_device_put(client->pdev);
	kfree(client);
	return ret;
}

static void client_del(unsigned int id)
{
	struct mock_client *client = mock_clients[id];

	platform_device_unregister(client->pdev);
	mock_clients[id] = NULL;
	kfree(client);
}

/* The lock of all parameters keeps others out. */
static int set_plugged(const char *val, const struct kernel_param *kp)
{
	unsigned int id, mask;
	int ret;

	ret = kstrtouint(val, 0, &mask);
	if (ret || mask >> MOCK_NR_DEVICES)
		return ret ?: -EINVAL;
	/* Not before there is an IOMMU */
	if (!mock_iommu.ops)
		return -ENODEV;

	for (id = 0; id < MOCK_NR_DEVICES; id++) {
		if (!(mask & BIT(id)) && plugged & BIT(id))
			client_del(id);
		else if (mask & BIT(id) && !(plugged & BIT(id)))
			ret = client_add(id);
		if (ret)
			return ret;
		plugged = (plugged & ~BIT(id)) | (mask & BIT(id));
	}
	return 0;
}

static int __init clients_add(void)
{
	unsigned int id;
	int ret;

	for (id = 0; id < MOCK_NR_DEVICES; id++) {
		ret = client_add(id);
		if (ret)
			goto err_del;
	}
	return 0;

err_del:
	while (id--)
		client_del(id);
	return ret;
}

/* After VFIO, which the devices' driver needs */
static int __init mock_init(void)
{
	unsigned int id;
	int ret;

	ret = mock_iopf_init();
	if (ret)
		return ret;
	ret = msi_init();
	if (ret)
		goto err_iopf;
	ret = iommu_init();
	if (ret)
		goto err_msi;
	ret = clients_add();
	if (ret)
		goto err_iommu;
	ret = mock_vdev_init();
	if (ret)
		goto err_clients;
	return 0;

err_clients:
	for (id = 0; id < MOCK_NR_DEVICES; id++)
		client_del(id);
err_iommu:
	iommu_exit();
err_msi:
	msi_exit();
err_iopf:
	mock_iopf_exit();
	return ret;
}
late_initcall(mock_init);
