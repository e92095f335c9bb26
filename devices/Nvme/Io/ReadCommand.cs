using Vfio.Iommu;

namespace Vfio.Devices.Nvme;

/// <summary>Read (NVM Command Set 1.0 §3.2.4).</summary>
internal static class ReadCommand
{
    public static NvmeStatus Execute(NvmeRequest request)
    {
        NvmeStatus status = BlockRange.TryCreate(request, transfers: true, out BlockRange range);
        status = status == NvmeStatus.Success ? range.CheckReadable(request) : status;
        if (status != NvmeStatus.Success)
        {
            return status;
        }

        status = BlockTransfer.Move(request, range, DmaAccess.Write, out long moved);
        request.Statistics.CountRead(moved);
        return status;
    }
}
