// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mock hardware of the IOMMU user API: VFIO driver of the devices
 */
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "mock.h"

struct mock_vdev {
	struct vfio_device vdev;
	struct mock_client *client;
};

static struct mock_client *to_client(struct vfio_device *vdev)
{
	return container_of(vdev, struct mock_vdev, vdev)->client;
}

static int init_vdev(struct vfio_device *vdev)
{
	container_of(vdev, struct mock_vdev, vdev)->client =
		mock_client_of(vdev->dev);
	return 0;
}

/*
 * Like a function-level reset: requests under way are given up, page requests
 * forgotten, the device's own TLB is empty. The IOMMU does not notice.
 */
static void reset(struct mock_client *client)
{
	const struct mock_select all = { .last = U64_MAX };
	unsigned int i;

	down_write(&client->lock);
	WRITE_ONCE(client->resets, client->resets + 1);
	mock_tlb_invalidate(&client->devtlb, &all);
	mock_prq_reset(client);
	up_write(&client->lock);

	for (i = 0; i < ARRAY_SIZE(client->inject); i++) {
		atomic_set(&client->spare[i], 0);
		atomic_set(&client->inject[i], 0);
	}
	wake_up_all(&client->held);
}

static int open_device(struct vfio_device *vdev)
{
	struct mock_client *client = to_client(vdev);

	atomic64_set(&client->invalidations, 0);
	atomic64_set(&client->unrecoverable, 0);
	return 0;
}

static void close_device(struct vfio_device *vdev)
{
	reset(to_client(vdev));
}

static int ioctl_get_info(void __user *arg)
{
	struct vfio_device_info info = {};
	size_t minsz = offsetofend(struct vfio_device_info, num_irqs);

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	info.flags = VFIO_DEVICE_FLAGS_PLATFORM | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = 0;
	info.num_irqs = 0;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

/* Device's memory for a request, with what the device writes in it */
static void *dma_buffer(const struct mock_dma *dma)
{
	void *buf;

	if (dma->flags & MOCK_DMA_WRITE)
		return vmemdup_user(u64_to_user_ptr(dma->data), dma->len);
	buf = kvzalloc(dma->len, GFP_KERNEL_ACCOUNT);
	return buf ?: ERR_PTR(-ENOMEM);
}

static int ioctl_dma(struct mock_client *client, void __user *arg)
{
	const u32 flags = MOCK_DMA_WRITE | MOCK_DMA_PASID | MOCK_DMA_ATS |
			  MOCK_DMA_PRI | MOCK_DMA_EXEC | MOCK_DMA_PRIV;
	struct mock_dma dma;
	void *buf;
	u64 last;
	int ret;

	if (copy_from_user(&dma, arg, sizeof(dma)))
		return -EFAULT;
	if (dma.argsz != sizeof(dma) || dma.flags & ~flags || !dma.len ||
	    dma.len > MOCK_DMA_MAX_LEN ||
	    check_add_overflow(dma.addr, (u64)dma.len - 1, &last))
		return -EINVAL;
	if ((dma.flags & MOCK_DMA_WRITE) && (dma.flags & MOCK_DMA_EXEC))
		return -EINVAL;
	if (dma.flags & MOCK_DMA_PASID ? dma.pasid >> MOCK_PASID_BITS :
					 dma.pasid)
		return -EINVAL;

	buf = dma_buffer(&dma);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	ret = mock_dma(client, &dma, buf);
	if (!ret && !(dma.flags & MOCK_DMA_WRITE) &&
	    copy_to_user(u64_to_user_ptr(dma.data), buf, dma.done))
		ret = -EFAULT;
	kvfree(buf);

	if (!ret && copy_to_user(arg, &dma, sizeof(dma)))
		ret = -EFAULT;
	return ret;
}

static int ioctl_page_request(struct mock_client *client, void __user *arg)
{
	const u32 perms = IOMMU_FAULT_PERM_READ | IOMMU_FAULT_PERM_WRITE |
			  IOMMU_FAULT_PERM_EXEC | IOMMU_FAULT_PERM_PRIV;
	struct mock_page_request req;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (req.argsz != sizeof(req) ||
	    req.flags & ~(MOCK_PRQ_PASID | MOCK_PRQ_PARTIAL) ||
	    req.grpid >= MOCK_NR_GRPIDS || !req.nr ||
	    req.nr > MOCK_PRQ_MAX_PAGES || req.perm & ~perms ||
	    !IS_ALIGNED(req.addr, SZ_4K))
		return -EINVAL;
	if (req.flags & MOCK_PRQ_PASID ? req.pasid >> MOCK_PASID_BITS :
					 req.pasid)
		return -EINVAL;
	return mock_prq_send(client, &req);
}

static int ioctl_page_response(struct mock_client *client, void __user *arg)
{
	struct mock_page_response resp;
	int ret;

	if (copy_from_user(&resp, arg, sizeof(resp)))
		return -EFAULT;
	if (resp.argsz != sizeof(resp) || resp.padding)
		return -EINVAL;
	ret = mock_prq_fetch(client, &resp);
	if (ret)
		return ret;
	return copy_to_user(arg, &resp, sizeof(resp)) ? -EFAULT : 0;
}

static int ioctl_inject(struct mock_client *client, void __user *arg)
{
	struct mock_inject inject;

	if (copy_from_user(&inject, arg, sizeof(inject)))
		return -EFAULT;
	if (inject.argsz != sizeof(inject) || inject.count > MOCK_INJECT_MAX ||
	    inject.flags & ~MOCK_INJECT_AFTER_ONE)
		return -EINVAL;
	switch (inject.what) {
	case MOCK_INJECT_INV_TIMEOUT:
	case MOCK_INJECT_INV_ERROR:
	case MOCK_INJECT_BIND_ERROR:
	case MOCK_INJECT_ATTACH_ERROR:
		atomic_set(&client->spare[inject.what],
			   inject.flags & MOCK_INJECT_AFTER_ONE ? 1 : 0);
		atomic_set(&client->inject[inject.what], inject.count);
		return 0;
	case MOCK_INJECT_BIND_HELD:
		if (inject.flags)
			return -EINVAL;
		atomic_set(&client->inject[inject.what], inject.count);
		wake_up_all(&client->held);
		return 0;
	case MOCK_INJECT_UNRECOVERABLE:
		return inject.flags ? -EINVAL :
		       mock_report_unrecoverables(client, inject.count);
	default:
		return -EINVAL;
	}
}

static int ioctl_stats(struct mock_client *client, void __user *arg)
{
	struct mock_stats stats;

	if (copy_from_user(&stats, arg, sizeof(stats)))
		return -EFAULT;
	if (stats.argsz != sizeof(stats))
		return -EINVAL;
	stats.iotlb_entries = mock_tlb_count(&client->iotlb);
	stats.devtlb_entries = mock_tlb_count(&client->devtlb);
	stats.bonds = atomic_read(&client->nr_bonds);
	stats.invalidations = atomic64_read(&client->invalidations);
	stats.unrecoverable = atomic64_read(&client->unrecoverable);
	stats.domains = atomic_read(&mock_nr_nested);
	stats.padding = 0;
	return copy_to_user(arg, &stats, sizeof(stats)) ? -EFAULT : 0;
}

static long ioctl_vdev(struct vfio_device *vdev, unsigned int cmd,
		       unsigned long arg)
{
	struct mock_client *client = to_client(vdev);
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return ioctl_get_info(uarg);
	case VFIO_DEVICE_RESET:
		reset(client);
		return 0;
	case MOCK_IOC_DMA:
		return ioctl_dma(client, uarg);
	case MOCK_IOC_PAGE_REQUEST:
		return ioctl_page_request(client, uarg);
	case MOCK_IOC_PAGE_RESPONSE:
		return ioctl_page_response(client, uarg);
	case MOCK_IOC_INJECT:
		return ioctl_inject(client, uarg);
	case MOCK_IOC_STATS:
		return ioctl_stats(client, uarg);
	default:
		return -ENOTTY;
	}
}

static const struct vfio_device_ops vdev_ops = {
	.name = "vfio-iommu-uapi-mock",
	.init = init_vdev,
	.open_device = open_device,
	.close_device = close_device,
	.ioctl = ioctl_vdev,
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
};

static int probe(struct platform_device *pdev)
{
	struct mock_vdev *mvdev;
	int ret;

	mvdev = vfio_alloc_device(mock_vdev, vdev, &pdev->dev, &vdev_ops);
	if (IS_ERR(mvdev))
		return PTR_ERR(mvdev);
	ret = vfio_register_group_dev(&mvdev->vdev);
	if (ret) {
		vfio_put_device(&mvdev->vdev);
		return ret;
	}
	platform_set_drvdata(pdev, mvdev);
	return 0;
}

static void remove(struct platform_device *pdev)
{
	struct mock_vdev *mvdev = platform_get_drvdata(pdev);

	vfio_unregister_group_dev(&mvdev->vdev);
	vfio_put_device(&mvdev->vdev);
}

static const struct platform_device_id ids[] = {
	{ "iommu-uapi-mock" },
	{}
};

static struct platform_driver driver = {
	.probe = probe,
	.remove_new = remove,
	.id_table = ids,
	.driver = {
		.name = "vfio-iommu-uapi-mock",
	},
	.driver_managed_dma = true,
};

/**
 * mock_vdev_init() - Offer the devices to user space
 *
 * Return: 0 or what registering a platform driver says
 */
int __init mock_vdev_init(void)
{
	return platform_driver_register(&driver);
}
