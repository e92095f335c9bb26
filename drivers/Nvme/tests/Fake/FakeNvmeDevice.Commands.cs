using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Vfio.Pci;

namespace Vfio.Drivers.Nvme.Tests;

/// <content>The commands.</content>
internal sealed partial class FakeNvmeDevice
{
    private static byte[] DefaultController()
    {
        byte[] page = new byte[4096];
        BinaryPrimitives.WriteUInt16LittleEndian(page, 0x1234);
        Encoding.ASCII.GetBytes("SERIAL 1".PadRight(20)).CopyTo(page, 4);
        Encoding.ASCII.GetBytes("fake controller".PadRight(40)).CopyTo(page, 24);
        Encoding.ASCII.GetBytes("1.0".PadRight(8)).CopyTo(page, 64);
        page[77] = 5;
        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(80), 0x00020000);
        page[258] = 3;
        page[262] = 3;
        page[512] = 0x66;
        page[513] = 0x44;
        BinaryPrimitives.WriteUInt32LittleEndian(page.AsSpan(516), 1);
        BinaryPrimitives.WriteUInt16LittleEndian(page.AsSpan(520), 0x000C);
        page[525] = 1;
        return page;
    }

    private static byte[] DefaultNamespace()
    {
        byte[] page = new byte[4096];
        BinaryPrimitives.WriteUInt64LittleEndian(page, Blocks);
        BinaryPrimitives.WriteUInt64LittleEndian(page.AsSpan(8), Blocks);
        page[130] = 9;
        return page;
    }

    private void Work(WorkTurn turn)
    {
        for (int i = 0; i < MaximumQueues; i++)
        {
            int found = 0;
            ReadShadow(i);
            while (!turn.IsCancelled && !IsGone && TryFetch(i, out SubmissionEntry command, out FakeCompletion completion))
            {
                MostAtOnce = Math.Max(MostAtOnce, ++found);
                if (Hook?.Invoke(i, ref command, ref completion) ?? true)
                {
                    Execute(i, command, ref completion);
                }

                lock (StateLock)
                {
                    _isBusy = false;
                    if (_isStopping)
                    {
                        _isStopping = false;
                        Status = StaysReady ? Status : 0;
                    }
                    else
                    {
                        Complete(i, completion);
                    }
                }
            }
        }
    }

    /// <summary>Takes a queue's tail out of memory, and asks for a ring when it moves from there.</summary>
    private void ReadShadow(int queue)
    {
        ulong shadow = _shadow;
        if (shadow == 0 || queue == 0)
        {
            return;
        }

        ulong at = (ulong)queue * 8;
        Span<uint> tail = stackalloc uint[1];
        Span<uint> again = stackalloc uint[1];
        do
        {
            _ = Dma.Read(shadow + at, MemoryMarshal.AsBytes(tail));
            _ = Dma.Write(_eventIndex + at, MemoryMarshal.AsBytes(tail));
            Interlocked.MemoryBarrier();
            _ = Dma.Read(shadow + at, MemoryMarshal.AsBytes(again));
        }
        while (tail[0] != again[0]);
        lock (StateLock)
        {
            _queues[queue].SubmissionTail = (ushort)tail[0];
        }
    }

    private bool TryFetch(int index, out SubmissionEntry command, out FakeCompletion completion)
    {
        command = default;
        completion = default;
        lock (StateLock)
        {
            ref Queue queue = ref _queues[index];
            if (queue.SubmissionHead == queue.SubmissionTail || queue.SubmissionSize == 0)
            {
                return false;
            }

            _ = Dma.Read(queue.SubmissionIova + ((ulong)queue.SubmissionHead * SubmissionEntry.Length), MemoryMarshal.AsBytes(new Span<SubmissionEntry>(ref command)));
            queue.SubmissionHead = (queue.SubmissionHead + 1) % queue.SubmissionSize;
            _isBusy = true;
            completion = new FakeCompletion { CommandId = command.CommandId, QueueId = (ushort)index, Head = (ushort)queue.SubmissionHead, Times = 1 };
            return true;
        }
    }

    private void Execute(int queue, in SubmissionEntry command, ref FakeCompletion completion)
    {
        if (queue == 0)
        {
            ExecuteAdmin(command, ref completion);
            return;
        }

        int block = (int)command.Dword10 * BlockSize;
        int length = ((int)(command.Dword12 & 0xFFFF) + 1) * BlockSize;
        switch (command.Opcode)
        {
            case NvmOpcode.Read:
                Move(command, Storage.AsSpan(block, length), toMemory: true);
                break;
            case NvmOpcode.Write:
                Move(command, Storage.AsSpan(block, length), toMemory: false);
                break;
            case NvmOpcode.WriteZeroes:
                Storage.AsSpan(block, length).Clear();
                break;
            case NvmOpcode.DatasetManagement:
                Span<uint> range = stackalloc uint[4];
                _ = Dma.Read(command.DataPointer1, MemoryMarshal.AsBytes(range));
                Storage.AsSpan((int)range[2] * BlockSize, (int)range[1] * BlockSize).Clear();
                break;
        }
    }

    private void ExecuteAdmin(in SubmissionEntry command, ref FakeCompletion completion)
    {
        int id = (int)(command.Dword10 & 0xFFFF);
        switch (command.Opcode)
        {
            case AdminOpcode.Identify:
                byte[] page = (command.Dword10 & 0xFF) switch
                {
                    IdentifyStructure.Controller => ControllerPage,
                    IdentifyStructure.Namespace => NamespacePage,
                    IdentifyStructure.NamespaceDescriptors => DescriptorPage,
                    _ => MemoryMarshal.AsBytes<uint>([.. Namespaces(command.NamespaceId), .. new uint[1024]])[..4096].ToArray(),
                };
                _ = Dma.Write(command.DataPointer1, page);
                break;
            case AdminOpcode.GetLogPage:
                _ = Dma.Write(command.DataPointer1, LogPage.AsSpan(0, ((int)(command.Dword10 >> 16) + 1) * 4));
                break;
            case AdminOpcode.SetFeatures:
                completion.Result = GrantedQueues ?? command.Dword11;
                break;
            case AdminOpcode.CreateCompletionQueue:
                _queues[id].CompletionIova = command.DataPointer1;
                _queues[id].CompletionSize = (int)(command.Dword10 >> 16) + 1;
                _queues[id].Vector = (command.Dword11 & 2) != 0 ? (int)(command.Dword11 >> 16) : -1;
                _queues[id].Phase = true;
                break;
            case AdminOpcode.CreateSubmissionQueue:
                _queues[id].SubmissionIova = command.DataPointer1;
                _queues[id].SubmissionSize = (int)(command.Dword10 >> 16) + 1;
                break;
            case AdminOpcode.DoorbellBufferConfig:
                _shadow = command.DataPointer1;
                _eventIndex = command.DataPointer2;
                break;
            case AdminOpcode.DeleteSubmissionQueue:
                DeletedQueues++;
                break;
        }
    }

    /// <summary>Moves data by the command's pointers, without allocating.</summary>
    private void Move(in SubmissionEntry command, Span<byte> data, bool toMemory)
    {
        if ((command.Flags & SubmissionEntry.FlagSgl) != 0)
        {
            SglCommands++;
            Move(command.DataPointer1, data[..(int)Math.Min((uint)data.Length, (uint)command.DataPointer2)], toMemory);
            return;
        }

        int first = Math.Min(data.Length, 4096 - (int)(command.DataPointer1 & 4095));
        Move(command.DataPointer1, data[..first], toMemory);
        data = data[first..];
        if (data.Length is > 0 and <= 4096)
        {
            Move(command.DataPointer2, data, toMemory);
            return;
        }

        int entries = (data.Length + 4095) / 4096;
        _ = Dma.Read(command.DataPointer2, MemoryMarshal.AsBytes(_list.AsSpan(0, entries)));
        for (int i = 0; i < entries; i++)
        {
            Span<byte> piece = data.Slice(i * 4096, Math.Min(4096, data.Length - (i * 4096)));
            Move(_list[i], piece, toMemory);
        }
    }

    private void Move(ulong iova, Span<byte> data, bool toMemory) => _ = toMemory ? Dma.Write(iova, data) : Dma.Read(iova, data);
}
