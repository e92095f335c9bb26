using System.Runtime.InteropServices;
using Vfio.Abi;
using Vfio.Linux;

namespace Vfio.Testing;

/// <summary>A vfio-user message as it came: header, payload, descriptors. Dispose closes the descriptors that were not taken.</summary>
public sealed class VfioUserMessage : IDisposable
{
    private readonly DescriptorList _descriptors;

    internal VfioUserMessage(VfioUserHeader header, byte[] payload, DescriptorList descriptors)
    {
        Header = header;
        Payload = payload;
        _descriptors = descriptors;
    }

    /// <summary>The header as it came.</summary>
    public VfioUserHeader Header { get; }

    /// <summary>What followed the header.</summary>
    public byte[] Payload { get; }

    /// <summary>The sender's number of the message.</summary>
    public ushort Id => Header.msg_id;

    /// <summary>The command, which a reply repeats.</summary>
    public VfioUserCommand Command => (VfioUserCommand)Header.cmd;

    /// <summary>Whether it is a reply.</summary>
    public bool IsReply => ((VfioUserFlags)Header.flags & VfioUserFlags.TypeMask) == VfioUserFlags.Reply;

    /// <summary>The error of a reply, <see cref="Errno.None"/> when it is not one.</summary>
    public Errno Error => ((VfioUserFlags)Header.flags & VfioUserFlags.Error) != 0 ? (Errno)Header.error_no : Errno.None;

    /// <summary>Whether the sender wants no reply.</summary>
    public bool WantsNoReply => ((VfioUserFlags)Header.flags & VfioUserFlags.NoReply) != 0;

    /// <summary>How many descriptors came.</summary>
    public int DescriptorCount => _descriptors.Count;

    /// <summary>Takes a descriptor; the caller owns it.</summary>
    /// <param name="index">0 to <see cref="DescriptorCount"/> − 1.</param>
    /// <returns>The descriptor.</returns>
    /// <exception cref="InvalidOperationException">It was taken before.</exception>
    public FileDescriptor TakeDescriptor(int index)
        => _descriptors.Take(index) ?? throw new InvalidOperationException($"Descriptor {index} was taken before.");

    /// <summary>Reads a structure out of the payload.</summary>
    /// <typeparam name="T">The structure.</typeparam>
    /// <param name="offset">Where it starts, in bytes.</param>
    /// <returns>The structure.</returns>
    public T Read<T>(int offset = 0)
        where T : unmanaged
        => MemoryMarshal.Read<T>(Payload.AsSpan(offset));

    /// <inheritdoc/>
    public void Dispose() => _descriptors.Dispose();

    /// <inheritdoc/>
    public override string ToString()
        => $"{(IsReply ? "reply to" : "command")} {Command} id {Id}, {Payload.Length} bytes, {DescriptorCount} descriptors, {Error.GetName()}";
}
