using System.Diagnostics;

namespace Vfio.Linux;

/// <summary>
/// The descriptors that came with received bytes. The list owns them from the moment they arrive; whatever nobody takes is closed by
/// <see cref="Clear"/> or <see cref="Dispose"/>. Made once per connection and reused. Not safe for use by several threads at a time.
/// </summary>
public sealed class DescriptorList : IDisposable
{
    /// <summary>The most descriptors that Linux sends with one message (<c>SCM_MAX_FD</c>), and the bound of a list.</summary>
    public const int Capacity = 253;

    private FileDescriptor?[] _items = [];

    /// <summary>How many descriptors have arrived since the list was cleared, those already taken included.</summary>
    public int Count { get; private set; }

    /// <summary>
    /// True if descriptors were lost since the list was cleared: more came than the list or this process can hold. Those of the message that
    /// overflowed are closed.
    /// </summary>
    public bool Truncated { get; private set; }

    /// <summary>A descriptor, which stays the list's; null if it was taken.</summary>
    /// <param name="index">From 0 to <see cref="Count"/> - 1.</param>
    public FileDescriptor? this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Count, nameof(index));
            return _items[index];
        }
    }

    /// <summary>Hands a descriptor to the caller, who owns it from now on. The places of the others do not change.</summary>
    /// <param name="index">From 0 to <see cref="Count"/> - 1.</param>
    /// <returns>Null if it was taken before.</returns>
    public FileDescriptor? Take(int index)
    {
        FileDescriptor? result = this[index];
        _items[index] = null;
        return result;
    }

    /// <summary>Closes what nobody took and makes the list empty and not <see cref="Truncated"/>.</summary>
    public void Clear()
    {
        RemoveFrom(0);
        Truncated = false;
    }

    /// <summary>The same as <see cref="Clear"/>.</summary>
    public void Dispose() => Clear();

    /// <summary>Hands everything to another list, whose own content is closed; this list is empty afterwards.</summary>
    /// <param name="destination">The new owner.</param>
    public void MoveTo(DescriptorList destination)
    {
        destination.Clear();
        (destination._items, _items) = (_items, destination._items);
        destination.Count = Count;
        destination.Truncated = Truncated;
        Count = 0;
        Truncated = false;
    }

    /// <summary>Takes possession of a raw descriptor; false if the list is full, and then the caller still has it.</summary>
    internal bool TryAdd(int fd)
    {
        Debug.Assert(fd >= 0, "The kernel gives no negative descriptors.");
        if (Count == Capacity)
        {
            return false;
        }

        if (Count == _items.Length)
        {
            Array.Resize(ref _items, Math.Min(Capacity, Math.Max(8, _items.Length * 2)));
        }

        _items[Count++] = new FileDescriptor(fd, ownsHandle: true);
        return true;
    }

    /// <summary>Forgets and closes what one message brought, because not all of it arrived.</summary>
    internal void Truncate(int firstLost)
    {
        RemoveFrom(firstLost);
        Truncated = true;
    }

    private void RemoveFrom(int first)
    {
        for (int i = first; i < Count; i++)
        {
            _items[i]?.Dispose();
            _items[i] = null;
        }

        Count = first;
    }
}
