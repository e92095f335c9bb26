namespace Vfio;

/// <summary>A caller's memory that can also be reached by pointer without any risk of a fault, so that leases on it can be spans.</summary>
public interface IDirectUserMemory : IUserMemory
{
    /// <summary>The place of a range in this process.</summary>
    /// <param name="address">The caller's address.</param>
    /// <param name="length">Length in bytes.</param>
    /// <param name="writable">Whether it will be written.</param>
    /// <returns>The place, which stays valid for as long as the memory object is used; 0 when the range is not wholly reachable.</returns>
    nint GetPointer(ulong address, ulong length, bool writable);
}
