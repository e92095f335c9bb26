using Vfio.Abi;

namespace Vfio.Run;

/// <summary>Bytes at addresses of a program, whether they are memory or a device's.</summary>
internal static class ProgramBytes
{
    private const ulong PageSize = 4096;

    /// <summary>Reads. Where a device refuses, a bus reads all ones.</summary>
    /// <returns>False when there is nothing at some of the addresses.</returns>
    public static bool TryRead(SupervisedProcess process, ulong address, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int count = (int)Math.Min(PageSize - (address % PageSize), (ulong)destination.Length);
            Span<byte> piece = destination[..count];
            if (process.Memory.Read(address, piece) != Errno.None)
            {
                if (!process.Mappings.TryFind(address, out TrappedAccess target))
                {
                    return false;
                }

                if (target.Read(piece) != Errno.None)
                {
                    piece.Fill(0xFF);
                }
            }

            destination = destination[count..];
            address += (ulong)count;
        }

        return true;
    }

    /// <summary>Writes. What a device refuses is lost, as on a bus.</summary>
    /// <returns>False when there is nothing at some of the addresses.</returns>
    public static bool TryWrite(SupervisedProcess process, ulong address, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            int count = (int)Math.Min(PageSize - (address % PageSize), (ulong)source.Length);
            if (process.Memory.Write(address, source[..count]) != Errno.None)
            {
                if (!process.Mappings.TryFind(address, out TrappedAccess target))
                {
                    return false;
                }

                _ = target.Write(source[..count]);
            }

            source = source[count..];
            address += (ulong)count;
        }

        return true;
    }
}
