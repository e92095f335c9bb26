using System.Diagnostics;
using System.Runtime.CompilerServices;
using Vfio.Abi;

namespace Vfio.Linux;

public sealed partial class UnixSocket
{
    /// <summary>Header plus room for the most descriptors of one message, rounded up to the alignment of control messages.</summary>
    private const int ControlSize = ControlHeaderSize + (((DescriptorList.Capacity * sizeof(int)) + 7) & ~7);

    private const int ControlHeaderSize = 16;

    /// <summary>Receives bytes, and the descriptors that came with them, with one <c>recvmsg</c>, or with <c>recv</c>, which costs the kernel less, where none are wanted.</summary>
    /// <param name="buffer">Where the bytes go, not empty.</param>
    /// <param name="descriptors">
    /// Where descriptors are appended; they belong to the list before anything is parsed. Null to have the kernel drop them unopened.
    /// If they do not all fit in the list or in this process, those of this call are closed and the list is marked as truncated.
    /// </param>
    /// <param name="flags">How to wait.</param>
    /// <returns>
    /// The number of bytes, 0 at the end of the stream; EAGAIN when nothing came in time, ECONNRESET if the peer closed with unread bytes of ours.
    /// </returns>
    public unsafe IoResult Receive(Span<byte> buffer, DescriptorList? descriptors, ReceiveFlags flags)
    {
        // A peek would open the descriptors a first time, and the real receive a second time.
        if (descriptors is not null && (flags & ReceiveFlags.Peek) == ReceiveFlags.None)
        {
            return ReceiveWithDescriptors(buffer, descriptors, flags);
        }

        // SAFETY: the buffer is pinned, and no more than its length is passed.
        fixed (byte* data = buffer)
        {
            nint count;
            do
            {
                count = Interop.Receive(Descriptor, data, (nuint)buffer.Length, (int)flags);
            }
            while (count < 0 && Interop.LastError == Errno.EINTR);

            return count < 0 ? Interop.LastError : IoResult.Success(count);
        }
    }

    /// <summary>Sends bytes; the same as the other overload without a payload and descriptors, with <c>send</c>, which costs the kernel less.</summary>
    /// <param name="data">The bytes.</param>
    public unsafe IoResult Send(ReadOnlySpan<byte> data)
    {
        nuint sent = 0;

        // SAFETY: the bytes are pinned, and no more than their length is passed.
        fixed (byte* start = data)
        {
            do
            {
                nint count = Interop.Send(Descriptor, start + sent, (nuint)data.Length - sent, Interop.MessageNoSignal);
                if (count >= 0)
                {
                    sent += (nuint)count;
                }
                else if (Interop.LastError is var error && error != Errno.EINTR)
                {
                    return error;
                }
            }
            while (sent < (nuint)data.Length);
        }

        return IoResult.Success((long)sent);
    }

    /// <summary>
    /// Sends two pieces of bytes behind each other, and descriptors with the first of them, normally in one <c>sendmsg</c>. What the socket does not take at
    /// once is sent afterwards, so that a success means that everything went out.
    /// </summary>
    /// <param name="header">The first bytes.</param>
    /// <param name="payload">The bytes that follow; may be empty.</param>
    /// <param name="descriptors">At most 253; they stay the caller's. They need at least one byte to travel with.</param>
    /// <returns>
    /// The number of bytes sent, which is all of them. EAGAIN when there was no room within the send time-out, EPIPE when the peer has gone,
    /// EINVAL for too many descriptors or descriptors without bytes. After any error but EINVAL some of the bytes may have gone out, and the
    /// stream is only good for closing.
    /// </returns>
    [SkipLocalsInit]
    public unsafe IoResult Send(ReadOnlySpan<byte> header, ReadOnlySpan<byte> payload, ReadOnlySpan<FileDescriptor> descriptors)
    {
        if (descriptors.IsEmpty && payload.IsEmpty)
        {
            return Send(header);
        }

        long total = (long)header.Length + payload.Length;
        if (descriptors.IsEmpty)
        {
            return SendAll(header, payload, total, null, 0);
        }

        if (descriptors.Length > DescriptorList.Capacity || total == 0)
        {
            return Errno.EINVAL;
        }

        byte* control = stackalloc byte[ControlSize];
        int referenced = 0;
        try
        {
            // SAFETY: room for the header and 253 numbers; each number is kept open by a reference until the call has returned.
            Interop.ControlHeader* rights = (Interop.ControlHeader*)control;
            rights->Length = (nuint)(ControlHeaderSize + (descriptors.Length * sizeof(int)));
            rights->Level = Interop.LevelSocket;
            rights->Type = Interop.ControlRights;
            int* numbers = (int*)(control + ControlHeaderSize);
            for (; referenced < descriptors.Length; referenced++)
            {
                bool added = false;
                descriptors[referenced].DangerousAddRef(ref added);
                numbers[referenced] = descriptors[referenced].Number;
            }

            return SendAll(header, payload, total, control, (nuint)(ControlHeaderSize + (((descriptors.Length * sizeof(int)) + 7) & ~7)));
        }
        finally
        {
            for (int i = 0; i < referenced; i++)
            {
                descriptors[i].DangerousRelease();
            }
        }
    }

    [SkipLocalsInit]
    private unsafe IoResult ReceiveWithDescriptors(Span<byte> buffer, DescriptorList descriptors, ReceiveFlags flags)
    {
        byte* control = stackalloc byte[ControlSize];

        // SAFETY: the buffer is pinned; all the structures are locals that outlive the call.
        fixed (byte* data = buffer)
        {
            Interop.IoVector vector = new() { Base = data, Length = (nuint)buffer.Length };
            Interop.MessageHeader message = default;
            nint count;
            do
            {
                message.Vectors = &vector;
                message.VectorCount = 1;
                message.Control = control;
                message.ControlLength = ControlSize;
                message.Flags = 0;
                count = Interop.ReceiveMessage(Descriptor, &message, (int)flags | Interop.MessageControlCloseOnExec);
            }
            while (count < 0 && Interop.LastError == Errno.EINTR);

            if (count < 0)
            {
                return Interop.LastError;
            }

            if (message.ControlLength != 0 || (message.Flags & Interop.MessageControlTruncated) != 0)
            {
                Collect(&message, descriptors);
            }

            return IoResult.Success(count);
        }
    }

    private unsafe IoResult SendAll(ReadOnlySpan<byte> header, ReadOnlySpan<byte> payload, long total, byte* control, nuint controlLength)
    {
        // SAFETY: both pieces are pinned; the structures are locals that outlive the calls.
        fixed (byte* first = header)
        fixed (byte* second = payload)
        {
            Interop.IoVector* vectors = stackalloc Interop.IoVector[2];
            Interop.MessageHeader message = default;
            message.Control = control;
            message.ControlLength = controlLength;
            long sent = 0;
            do
            {
                long fromFirst = Math.Min(sent, header.Length);
                long fromSecond = sent - fromFirst;
                int used = 0;
                if (fromFirst < header.Length)
                {
                    vectors[used++] = new Interop.IoVector { Base = first + fromFirst, Length = (nuint)(header.Length - fromFirst) };
                }

                if (fromSecond < payload.Length)
                {
                    vectors[used++] = new Interop.IoVector { Base = second + fromSecond, Length = (nuint)(payload.Length - fromSecond) };
                }

                message.Vectors = vectors;
                message.VectorCount = (nuint)used;
                nint count = Interop.SendMessage(Descriptor, &message, Interop.MessageNoSignal);
                if (count < 0)
                {
                    Errno error = Interop.LastError;
                    if (error == Errno.EINTR)
                    {
                        continue;
                    }

                    return error;
                }

                sent += count;

                // The descriptors went with the first bytes.
                message.Control = null;
                message.ControlLength = 0;
            }
            while (sent < total);

            return IoResult.Success(sent);
        }
    }

    private static unsafe void Collect(Interop.MessageHeader* message, DescriptorList descriptors)
    {
        Debug.Assert(sizeof(Interop.ControlHeader) == ControlHeaderSize, "Written for 64-bit systems.");
        int before = descriptors.Count;
        bool lost = (message->Flags & Interop.MessageControlTruncated) != 0;
        byte* position = (byte*)message->Control;
        nuint remaining = message->ControlLength;

        // SAFETY: the kernel has filled ControlLength bytes; each header is checked against what remains before its data are read.
        while (remaining >= ControlHeaderSize)
        {
            Interop.ControlHeader* header = (Interop.ControlHeader*)position;
            if (header->Length < ControlHeaderSize || header->Length > remaining)
            {
                break;
            }

            if (header->Level == Interop.LevelSocket && header->Type == Interop.ControlRights)
            {
                int count = (int)((header->Length - ControlHeaderSize) / sizeof(int));
                int* numbers = (int*)(position + ControlHeaderSize);
                for (int i = 0; i < count; i++)
                {
                    if (!descriptors.TryAdd(numbers[i]))
                    {
                        _ = Interop.Close(numbers[i]);
                        lost = true;
                    }
                }
            }

            nuint step = (header->Length + 7) & ~(nuint)7;
            if (step >= remaining)
            {
                break;
            }

            position += step;
            remaining -= step;
        }

        if (lost)
        {
            descriptors.Truncate(before);
        }
    }
}
