using System.Buffers;
using System.Text;
using Vfio.Abi;

namespace Vfio.Run;

/// <summary>Strings in a caller's memory.</summary>
internal static class CallerText
{
    private const int MaximumPath = 4096;
    private const ulong PageSize = 4096;
    private const int FirstRead = 256;

    /// <summary>Reads a path.</summary>
    /// <returns><see cref="Errno.None"/>; <see cref="Errno.EFAULT"/>; <see cref="Errno.ENAMETOOLONG"/>.</returns>
    public static Errno TryReadPath(IUserMemory memory, ulong address, out string path)
    {
        path = string.Empty;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(MaximumPath);
        try
        {
            int length = 0;
            while (length < MaximumPath)
            {
                // Never over the end of a page: the next one may not be there.
                int count = (int)Math.Min(PageSize - (address % PageSize), (ulong)Math.Min(FirstRead, MaximumPath - length));
                Errno error = memory.Read(address, buffer.AsSpan(length, count));
                if (error != Errno.None)
                {
                    return error;
                }

                int end = buffer.AsSpan(length, count).IndexOf((byte)0);
                if (end >= 0)
                {
                    path = Encoding.UTF8.GetString(buffer, 0, length + end);
                    return Errno.None;
                }

                length += count;
                address += (ulong)count;
            }

            return Errno.ENAMETOOLONG;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
