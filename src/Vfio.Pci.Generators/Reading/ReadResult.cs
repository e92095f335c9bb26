using Vfio.Pci.Generators.Diagnostics;
using Vfio.Pci.Generators.Model;

namespace Vfio.Pci.Generators.Reading;

/// <summary>What a declaration says: a model, unless it has mistakes.</summary>
internal sealed record ReadResult(RegisterFileModel? Model, EquatableArray<Mistake> Mistakes);
