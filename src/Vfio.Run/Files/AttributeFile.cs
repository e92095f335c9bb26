using System.Text;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Run;

/// <summary>An attribute of the tree that a program opened to write.</summary>
internal sealed class AttributeFile(VirtualAttribute attribute) : VfioFile
{
    public override IoResult Read(Span<byte> buffer, ulong position)
    {
        if (attribute.Read is null)
        {
            return Errno.EIO;
        }

        byte[] content = Encoding.UTF8.GetBytes(attribute.Read());
        int start = (int)Math.Min(position, (ulong)content.Length);
        int count = Math.Min(buffer.Length, content.Length - start);
        content.AsSpan(start, count).CopyTo(buffer);
        return IoResult.Success(count);
    }

    public override IoResult Write(ReadOnlySpan<byte> buffer, ulong position)
    {
        if (attribute.Write is null)
        {
            return Errno.EACCES;
        }

        IoResult result = attribute.Write(Encoding.UTF8.GetString(buffer)).GetAwaiter().GetResult();
        return result.IsError ? result : IoResult.Success(buffer.Length);
    }

    protected override void Close()
    {
    }
}
