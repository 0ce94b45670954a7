// Form `product_times_mask_in_place`: The captured product is written over (Funnel): what was written is read.
// Read as: full, bias, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, bias = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,63],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int0 = torch.constant.int 0
    %0 = torch.aten.select_copy.int %arg1, %int0, %int0 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[4,63,40],f32>
    %int4 = torch.constant.int 4
    %1 = torch.aten.unsqueeze %arg0, %int4 : !torch.vtensor<[2,4,63,40],f32>, !torch.int -> !torch.vtensor<[2,4,63,40,1],f32>
    %int1 = torch.constant.int 1
    %int2 = torch.constant.int 2
    %int3 = torch.constant.int 3
    %2 = torch.prim.ListConstruct %int0, %int1, %int2, %int4, %int3 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %3 = torch.aten.permute %1, %2 : !torch.vtensor<[2,4,63,40,1],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,1,40],f32>
    %4 = torch.aten.unsqueeze %0, %int3 : !torch.vtensor<[4,63,40],f32>, !torch.int -> !torch.vtensor<[4,63,40,1],f32>
    %5 = torch.aten.unsqueeze %4, %int4 : !torch.vtensor<[4,63,40,1],f32>, !torch.int -> !torch.vtensor<[4,63,40,1,1],f32>
    %6 = torch.prim.ListConstruct %int3, %int0, %int4, %int1, %int2 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %7 = torch.aten.permute %5, %6 : !torch.vtensor<[4,63,40,1,1],f32>, !torch.list<int> -> !torch.vtensor<[1,4,1,63,40],f32>
    %8 = torch.prim.ListConstruct %int1, %int0, %int2, %int4, %int3 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %9 = torch.aten.permute %3, %8 : !torch.vtensor<[2,4,63,1,40],f32>, !torch.list<int> -> !torch.vtensor<[4,2,63,40,1],f32>
    %10 = torch.aten.clone %9, %int0 : !torch.vtensor<[4,2,63,40,1],f32>, !torch.int -> !torch.vtensor<[4,2,63,40,1],f32>
    %int126 = torch.constant.int 126
    %int40 = torch.constant.int 40
    %11 = torch.prim.ListConstruct %int4, %int126, %int40 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %12 = torch.aten._unsafe_view %10, %11 : !torch.vtensor<[4,2,63,40,1],f32>, !torch.list<int> -> !torch.vtensor<[4,126,40],f32>
    %13 = torch.prim.ListConstruct %int1, %int4, %int3, %int0, %int2 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %14 = torch.aten.permute %7, %13 : !torch.vtensor<[1,4,1,63,40],f32>, !torch.list<int> -> !torch.vtensor<[4,40,63,1,1],f32>
    %int63 = torch.constant.int 63
    %15 = torch.prim.ListConstruct %int4, %int40, %int63 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %16 = torch.aten.view %14, %15 : !torch.vtensor<[4,40,63,1,1],f32>, !torch.list<int> -> !torch.vtensor<[4,40,63],f32>
    %17 = torch.aten.bmm %12, %16 : !torch.vtensor<[4,126,40],f32>, !torch.vtensor<[4,40,63],f32> -> !torch.vtensor<[4,126,63],f32>
    %18 = torch.prim.ListConstruct %int4, %int2, %int63, %int1, %int63 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %19 = torch.aten.view %17, %18 : !torch.vtensor<[4,126,63],f32>, !torch.list<int> -> !torch.vtensor<[4,2,63,1,63],f32>
    %20 = torch.aten.permute %19, %8 : !torch.vtensor<[4,2,63,1,63],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,63,1],f32>
    %21 = torch.prim.ListConstruct %int2, %int4, %int63, %int63 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %22 = torch.aten.view %20, %21 : !torch.vtensor<[2,4,63,63,1],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,63],f32>
    %23 = torch.prim.ListConstruct %int63, %int63 : (!torch.int, !torch.int) -> !torch.list<int>
    %none = torch.constant.none
    %cpu = torch.constant.device "cpu"
    %false = torch.constant.bool false
    %24 = torch.aten.ones %23, %none, %none, %cpu, %false : !torch.list<int>, !torch.none, !torch.none, !torch.Device, !torch.bool -> !torch.vtensor<[63,63],f32>
    %25 = torch.aten.tril %24, %int3 : !torch.vtensor<[63,63],f32>, !torch.int -> !torch.vtensor<[63,63],f32>
    %26 = torch.aten.mul.Tensor %22, %25 : !torch.vtensor<[2,4,63,63],f32>, !torch.vtensor<[63,63],f32> -> !torch.vtensor<[2,4,63,63],f32>
    %27:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg1, value = %arg2, bias = %26, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,63],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %27#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
